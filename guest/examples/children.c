// Adds up squares: a child for each number, on whichever workers are free. Input: {"to": 3}; that of a child: its number.
#include <stdio.h>
#include <stdlib.h>

#include "mvm_ci.h"

enum { MOST = 100 };
static char input[64], text[1 << 14], answer[1 << 14], id[MOST][15];

static int fail(const char *why) {
    mvm_ci_fail(why, __builtin_strlen(why));
    return 1;
}

MVM_CI_RUN {
    char to[16], module[65], value[32], topic[32], result[32];
    input[mvm_ci_input_read(input, 0, sizeof input - 1)] = 0;
    if (!mvm_ci_field(input, "to", to, sizeof to)) {
        mvm_ci_output(result, snprintf(result, sizeof result, "%d", atoi(input) * atoi(input)));
        return 0;
    }
    int count = atoi(to) < MOST ? atoi(to) : MOST, sum = 0;
    mvm_ci_call("job.info", "{}", answer, sizeof answer);
    mvm_ci_field(answer, "module", module, sizeof module);
    // All or none: one call starts them.
    int size = snprintf(text, sizeof text, "{\"jobs\": [");
    for (int n = 1; n <= count; n++)
        size += snprintf(text + size, sizeof text - size, "%s{\"module\": \"%s\", \"input\": %d}", n > 1 ? ", " : "", module, n);
    snprintf(text + size, sizeof text - size, "]}");
    mvm_ci_call("child.start", text, answer, sizeof answer);
    if (!mvm_ci_ok(answer)) return fail(answer);
    for (int n = 0; n < count; n++) mvm_ci_child(answer, n, id[n]);
    for (int n = 0; n < count; n++) {
        snprintf(topic, sizeof topic, "child:%s", id[n]);
        mvm_ci_wait(topic, -1, answer, sizeof answer);
        if (!mvm_ci_field(answer, "value", value, sizeof value)) return fail(answer);
        sum += atoi(value);
    }
    mvm_ci_output(result, snprintf(result, sizeof result, "%d", sum));
    return 0;
}
