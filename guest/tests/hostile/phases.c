// Goes through the phases of a guest. The input: [request,request] without blanks; the first is not to be repeated.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char input[4096], answer[1 << 16], out[8192];

static const char *ask(const char *request) {
    uint32_t size = mvm_ci_http(request, (uint32_t)strlen(request));
    answer[mvm_ci_http_read(answer, 0, sizeof answer - 1)] = 0;
    if (strstr(answer, "\"interrupted\"")) return "interrupted";
    return size && strstr(answer, "\"ok\"") ? "answered" : "failed";
}

// A while, in which it can be killed.
static uint32_t compute(void) {
    volatile uint32_t state = 1;
    for (uint32_t i = 0; i < 30000000; i++) state = state * 1664525u + 1013904223u;
    return state;
}

MVM_CI_RUN {
    input[mvm_ci_input_read(input, 0, sizeof input - 1)] = 0;
    char *second = strstr(input, "},{");
    second[1] = 0;
    second += 2;
    second[strlen(second) - 1] = 0;
    const char *posted = ask(input + 1);
    uint32_t state = compute();
    mvm_ci_sleep_ms(300);
    const char *got = ask(second);
    mvm_ci_log("done\n", 5);
    mvm_ci_output(out, (uint32_t)snprintf(out, sizeof out, "%s %08x %s", posted, state, got));
    return 0;
}
