// Greets whom the input names, with nothing but the C library: a log line on stdout, the result through the host.
#include <stdio.h>
#include <time.h>

#include "mvm_ci.h"

static char name[256], greeting[512];

MVM_CI_RUN {
    name[mvm_ci_input_read(name, 0, sizeof name - 1)] = 0;
    printf("saying hello to %s at %lld\n", name, (long long)time(NULL));
    int size = snprintf(greeting, sizeof greeting, "Hello, %s!", name[0] ? name : "world");
    mvm_ci_output(greeting, (uint32_t)size);
    return 0;
}
