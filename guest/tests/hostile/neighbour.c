// Does a bit of everything that guests do, and says what came of it. The input is its request.
#include <stdio.h>

#include "mvm_ci.h"

static uint32_t numbers[1 << 16];
static char request[1024], answer[1024], out[2048];

// Changes all of a quarter of a megabyte; whoever writes there meanwhile changes the sum.
static uint32_t work(uint32_t state) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        state = state * 1664525u + 1013904223u;
        numbers[i] ^= state;
        sum += numbers[i];
    }
    return sum;
}

MVM_CI_RUN {
    uint32_t size = mvm_ci_input_read(request, 0, sizeof request);
    uint32_t first = work(1);
    int64_t before = mvm_ci_now_ms();
    mvm_ci_http(request, size);
    answer[mvm_ci_http_read(answer, 0, sizeof answer - 1)] = 0;
    uint32_t second = work(first);
    mvm_ci_sleep_ms(3);
    if (mvm_ci_now_ms() < before + 3) return 9;
    mvm_ci_log("worked\n", 7);
    mvm_ci_output(out, (uint32_t)snprintf(out, sizeof out, "%08x %08x %s", first, second, answer));
    return 0;
}
