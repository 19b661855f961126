// A till: adds up what messages say, until one closes it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mvm_ci.h"

static char mail[4096], text[200];

MVM_CI_RUN {
    char value[32];
    long long total = 0;
    for (;;) {
        mvm_ci_call("wait", "{\"topics\": [\"message:add\", \"message:close\"]}", mail, sizeof mail);
        mvm_ci_field(mail, "topic", text, sizeof text);
        if (strcmp(text, "message:add") != 0) break;
        mvm_ci_field(mail, "value", value, sizeof value);
        total += atoll(value);
        snprintf(text, sizeof text, "{\"text\": \"total %lld\"}", total);
        mvm_ci_call("job.progress", text, mail, sizeof mail);
    }
    mvm_ci_output(text, snprintf(text, sizeof text, "{\"total\": %lld}", total));
    return 0;
}
