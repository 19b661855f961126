// Reads a secret and tells it, to show what becomes of that.
#include <string.h>

#include "mvm_ci.h"

static char answer[1024];

MVM_CI_RUN {
    mvm_ci_call("secret.get", "{\"name\": \"API_TOKEN\"}", answer, sizeof answer);
    mvm_ci_log(answer, strlen(answer));
    mvm_ci_output(answer, strlen(answer));
    return 0;
}
