// Sleeps until the time that its input names (Unix milliseconds); the result is by how many milliseconds it was late.
#include <stdio.h>
#include <stdlib.h>

#include "mvm_ci.h"

MVM_CI_RUN {
    char text[32];
    text[mvm_ci_input_read(text, 0, sizeof text - 1)] = 0;
    int64_t due = strtoll(text, 0, 10);
    int64_t now = mvm_ci_now_ms();
    if (due > now) mvm_ci_sleep_ms(due - now);
    int size = snprintf(text, sizeof text, "%lld", (long long)(mvm_ci_now_ms() - due));
    mvm_ci_output(text, size);
    return 0;
}
