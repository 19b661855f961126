// The smallest useful job: reads its input, answers with the first 64 bytes of it.
#include <string.h>

#include "mvm_ci.h"

static char input[65536], output[64];

MVM_CI_RUN {
    uint32_t size = mvm_ci_input_read(input, 0, sizeof input);
    memcpy(output, input, size < sizeof output ? size : sizeof output);
    mvm_ci_output(output, sizeof output);
    return 0;
}
