// One effect, then 20 ms of sleep. The input is the request; the result is the answer's first bytes.
#include "mvm_ci.h"

static char request[4096], answer[64];

MVM_CI_RUN {
    uint32_t size = mvm_ci_input_read(request, 0, sizeof request);
    uint32_t have = mvm_ci_http(request, size);
    uint32_t got = mvm_ci_http_read(answer, 0, have < sizeof answer ? have : sizeof answer);
    mvm_ci_sleep_ms(20);
    mvm_ci_output(answer, got);
    return 0;
}
