// Guest ABI v1 of MVM-CI for C; described in guest/abi/core.md.
#ifndef MVM_CI_H
#define MVM_CI_H

#include <stdint.h>

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

#endif
