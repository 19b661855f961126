// 5,000 recorded steps: each reads the clock.
#include "mvm_ci.h"

MVM_CI_RUN {
    int64_t sum = 0;
    for (int i = 0; i < 5000; i++) sum += mvm_ci_now_ms();
    mvm_ci_output(&sum, sizeof sum);
    return 0;
}
