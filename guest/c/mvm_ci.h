// Guest ABI v1 of MVM-CI for C; described in guest/abi/core.md.
#ifndef MVM_CI_H
#define MVM_CI_H

#include <stdint.h>
#include <stdio.h>

#define MVM_CI_IMPORT(name) __attribute__((import_module("mvm_ci_v1"), import_name(name)))
#define MVM_CI_EXPORT(name) __attribute__((export_name(name)))

// The entry point: `MVM_CI_RUN { ...; return 0; }`.
#define MVM_CI_RUN MVM_CI_EXPORT("run") int32_t run(void)

MVM_CI_IMPORT("input_size") uint32_t mvm_ci_input_size(void);
MVM_CI_IMPORT("input_read") uint32_t mvm_ci_input_read(void *to, uint32_t offset, uint32_t size);
MVM_CI_IMPORT("output") void mvm_ci_output(const void *data, uint32_t size);
MVM_CI_IMPORT("fail") void mvm_ci_fail(const char *text, uint32_t size);
MVM_CI_IMPORT("log") void mvm_ci_log(const char *text, uint32_t size);
MVM_CI_IMPORT("sleep_ms") void mvm_ci_sleep_ms(int64_t milliseconds);
MVM_CI_IMPORT("now_ms") int64_t mvm_ci_now_ms(void);
MVM_CI_IMPORT("http") uint32_t mvm_ci_http(const char *request, uint32_t size);
MVM_CI_IMPORT("http_read") uint32_t mvm_ci_http_read(void *to, uint32_t offset, uint32_t size);
MVM_CI_IMPORT("call") uint32_t mvm_ci_call_(const char *name, uint32_t name_size, const char *argument, uint32_t size);
MVM_CI_IMPORT("call_read") uint32_t mvm_ci_call_read(void *to, uint32_t offset, uint32_t size);
MVM_CI_IMPORT("artifact_write") uint32_t mvm_ci_artifact_write_(const char *name, uint32_t name_size, const void *data, uint32_t size);
MVM_CI_IMPORT("artifact_read") int32_t mvm_ci_artifact_read(const char *digest, uint64_t offset, void *to, uint32_t size);

// One of the calls of guest/abi/calls.md. `argument` is JSON text; the answer, too: its size is returned, and as much of
// it as fits is copied to `to`, with a zero behind it.
static inline uint32_t mvm_ci_call(const char *name, const char *argument, char *to, uint32_t size) {
    uint32_t answer = mvm_ci_call_(name, __builtin_strlen(name), argument, __builtin_strlen(argument));
    to[mvm_ci_call_read(to, 0, size - 1)] = 0;
    return answer;
}

// The next bytes of the artifact that `artifact.begin` began: 0, or the size of an answer that `mvm_ci_call_read` reads.
static inline uint32_t mvm_ci_artifact_write(const char *name, const void *data, uint32_t size) {
    return mvm_ci_artifact_write_(name, __builtin_strlen(name), data, size);
}

// Has a request performed, a document of guest/abi/core.md. Its answer is returned and copied like that of `mvm_ci_call`.
static inline uint32_t mvm_ci_request(const char *document, char *to, uint32_t size) {
    uint32_t answer = mvm_ci_http(document, __builtin_strlen(document));
    to[mvm_ci_http_read(to, 0, size - 1)] = 0;
    return answer;
}

// Whether an answer is no error.
static inline int mvm_ci_ok(const char *answer) { return !__builtin_strncmp(answer, "{\"ok\":", 6); }

// The value of the first member called `name` in JSON text, copied to `to` with a zero behind it (of a text: what stands
// between its quotes); its size, 0 if there is none. `to` is not part of `json`.
static inline uint32_t mvm_ci_field(const char *json, const char *name, char *to, uint32_t size) {
    uint32_t length = __builtin_strlen(name), depth = 0, copied = 0;
    to[0] = 0;
    for (;; json++) {
        if (*json == 0) return 0;
        if (*json != '"' || __builtin_strncmp(json + 1, name, length) || json[length + 1] != '"') continue;
        const char *next = json + length + 2;
        while (*next && __builtin_strchr(" \t\r\n", *next)) next++;
        if (*next != ':') continue;
        json = next + 1;
        while (*json && __builtin_strchr(" \t\r\n", *json)) json++;
        break;
    }
    int text = *json == '"', quoted = text, escaped = 0;
    for (json += text; *json; json++) {
        if (escaped) escaped = 0;
        else if (quoted && *json == '\\') escaped = 1;
        else if (*json == '"') {
            if (text) break;
            quoted = !quoted;
        } else if (!quoted && (*json == '[' || *json == '{')) depth++;
        else if (!quoted && (*json == ']' || *json == '}' || *json == ',')) {
            if (depth == 0) break;
            depth -= *json != ',';
        }
        if (copied + 1 < size) to[copied++] = *json;
    }
    while (!text && copied && __builtin_strchr(" \t\r\n", to[copied - 1])) copied--;
    to[copied] = 0;
    return copied;
}

// Base64, in which bodies travel: `size` bytes of `data` as text with a zero behind it (4 bytes for each 3 that are begun).
static inline void mvm_ci_base64(const void *data, uint32_t size, char *to) {
    const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = data;
    for (uint32_t at = 0; at < size; at += 3) {
        uint32_t left = size - at, bits = from[at] << 16 | (left > 1 ? from[at + 1] << 8 : 0) | (left > 2 ? from[at + 2] : 0);
        for (uint32_t n = 0; n < 4; n++) *to++ = n <= left ? digits[bits >> (18 - 6 * n) & 63] : '=';
    }
    *to = 0;
}

// The bytes that base64 text stands for, with a zero behind them; how many they are. `to` may be `text` itself.
static inline uint32_t mvm_ci_unbase64(const char *text, char *to) {
    uint32_t bits = 0, count = 0, size = 0;
    for (; *text && *text != '='; text++) {
        char c = *text;
        bits = bits << 6 | (c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63);
        if (++count % 4 != 1) to[size++] = bits >> (6 - 2 * ((count - 1) % 4));
    }
    to[size] = 0;
    return size;
}

// The id of child `number` (from 0) in an answer to "child.start"; "" if there is none.
static inline void mvm_ci_child(const char *answer, uint32_t number, char id[15]) {
    id[0] = 0;
    const char *jobs = __builtin_strstr(answer, "\"jobs\":[\"");
    if (!jobs || __builtin_strlen(jobs) < 9 + 17 * number + 14) return;
    __builtin_memcpy(id, jobs + 9 + 17 * number, 14);
    id[14] = 0;
}

// Waits for mail about `topic`, `timeout_s` seconds at most (negative: as long as it takes). 1: `to` has the answer, like
// `mvm_ci_call`; 0: it took too long; -1: `to` has the error.
static inline int mvm_ci_wait(const char *topic, double timeout_s, char *to, uint32_t size) {
    char argument[256], limit[32] = "null";
    if (timeout_s >= 0) snprintf(limit, sizeof limit, "%.9f", timeout_s);
    snprintf(argument, sizeof argument, "{\"topics\": [\"%s\"], \"timeout_s\": %s}", topic, limit);
    mvm_ci_call("wait", argument, to, size);
    return mvm_ci_ok(to) ? __builtin_strcmp(to, "{\"ok\":null}") != 0 : -1;
}

#endif
