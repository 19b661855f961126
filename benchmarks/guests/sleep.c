// 20 ms of sleep.
#include "mvm_ci.h"

MVM_CI_RUN {
    mvm_ci_sleep_ms(20);
    return 0;
}
