// A flow of five recorded steps, each of which is durable before the next.
#include "mvm_ci.h"

static int64_t times[5];

MVM_CI_RUN {
    char answer[32];
    for (int i = 0; i < 5; i++) {
        times[i] = mvm_ci_now_ms();
        mvm_ci_call("job.durable", "{}", answer, sizeof answer);
    }
    mvm_ci_output(times, sizeof times);
    return 0;
}
