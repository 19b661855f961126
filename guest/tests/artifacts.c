// Puts, copies, fetches and sends large artifacts; the input says what: "put 50 10000" (MiB, a pause in the middle in ms),
// "copy", "fetch http://...", "send http://...", "putget http://...". The result is the last answer of the host.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char input[1 << 12], argument[1 << 13], answer[1 << 13], piece[1 << 20];

// Not the same twice, and the same again.
static void fill(int number) {
    uint32_t state = 2463534242u + number;
    for (uint32_t at = 0; at < sizeof piece; at += 4) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        memcpy(piece + at, &state, 4);
    }
}

static char *digest_in(char *text) {
    char *digest = strstr(text, "\"digest\":\"");
    return digest ? digest + 10 : 0;
}

static void put(int megabytes, int pause_ms) {
    mvm_ci_call("artifact.begin", "{\"name\": \"dir/big.bin\"}", answer, sizeof answer);
    for (int number = 0; number < megabytes; number++) {
        fill(number);
        mvm_ci_artifact_write("dir/big.bin", piece, sizeof piece);
        if (pause_ms && number == megabytes / 2) mvm_ci_sleep_ms(pause_ms);
    }
    mvm_ci_call("artifact.end", "{\"name\": \"dir/big.bin\"}", answer, sizeof answer);
}

static void copy(void) {
    mvm_ci_call("artifact.get", "{\"name\": \"in.bin\"}", answer, sizeof answer);
    char *digest = digest_in(answer);
    if (!digest) return;
    memcpy(argument, digest, 64);
    int got;
    mvm_ci_call("artifact.begin", "{\"name\": \"out.bin\"}", answer, sizeof answer);
    for (uint64_t at = 0; (got = mvm_ci_artifact_read(argument, at, piece, sizeof piece)) > 0; at += got)
        mvm_ci_artifact_write("out.bin", piece, got);
    mvm_ci_call("artifact.end", "{\"name\": \"out.bin\"}", answer, sizeof answer);
}

static void request(void) {
    uint32_t size = mvm_ci_http(argument, strlen(argument));
    answer[mvm_ci_http_read(answer, 0, sizeof answer - 1)] = 0;
    (void)size;
}

static void fetch(const char *url) {
    snprintf(argument, sizeof argument, "{\"url\": \"%s\", \"to_artifact\": \"fetched.bin\", \"timeout_ms\": 600000}", url);
    request();
}

static void send(const char *url) {
    mvm_ci_call("artifact.get", "{\"name\": \"in.bin\"}", answer, sizeof answer);
    char *digest = digest_in(answer), *size = strstr(answer, "\"size\":");
    if (!digest || !size) return;
    long long bytes = 0;
    sscanf(size, "\"size\":%lld", &bytes);
    snprintf(argument, sizeof argument,
             "{\"url\": \"%s\", \"method\": \"PUT\", \"idempotent\": true, \"timeout_ms\": 600000, "
             "\"from_artifact\": {\"digest\": \"%.64s\", \"size\": %lld}}",
             url, digest, bytes);
    request();
}

MVM_CI_RUN {
    char word[16] = "", url[1024] = "";
    int megabytes = 0, pause_ms = 0;
    mvm_ci_input_read(input, 0, sizeof input - 1);
    sscanf(input, "\"%15[a-z] %1023[^\" ]", word, url);
    sscanf(input, "\"put %d %d", &megabytes, &pause_ms);
    if (!strcmp(word, "put")) put(megabytes, pause_ms);
    if (!strcmp(word, "putget")) {
        put(1, 0);
        snprintf(argument, sizeof argument, "{\"url\": \"%s\"}", url);
        request();
    }
    if (!strcmp(word, "copy")) copy();
    if (!strcmp(word, "fetch")) fetch(url);
    if (!strcmp(word, "send")) send(url);
    mvm_ci_output(answer, strlen(answer));
    return 0;
}
