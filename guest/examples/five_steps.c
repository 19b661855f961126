// A flow of five recorded steps: each reads the clock; the result is the five times.
#include "mvm_ci.h"

static int64_t times[5];

MVM_CI_RUN {
    for (int i = 0; i < 5; i++) times[i] = mvm_ci_now_ms();
    mvm_ci_output(times, sizeof times);
    return 0;
}
