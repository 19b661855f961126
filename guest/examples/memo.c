// Computes something once, whatever happens to its workers: the value is recorded under a name.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char answer[256], text[256];

static long long sum(void) {
    long long total = 0;
    mvm_ci_log("adding\n", 7);
    for (long long number = 1; number <= 1000000; number++) total += number;
    return total;
}

MVM_CI_RUN {
    mvm_ci_call("memo.get", "{\"name\": \"sum\"}", answer, sizeof answer);
    if (strcmp(answer, "{\"ok\":null}") == 0) {
        snprintf(text, sizeof text, "{\"name\": \"sum\", \"value\": %lld}", sum());
        mvm_ci_call("memo.put", text, answer, sizeof answer);
        snprintf(answer, sizeof answer, "computed now");
    }
    mvm_ci_sleep_ms(5);
    mvm_ci_output(answer, strlen(answer));
    return 0;
}
