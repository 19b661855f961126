// Orders something at a shop, once: asked again if the shop is out of order. Input: the shop's URL for orders.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char shop[1024], answer[1 << 14], body[256], document[4096];

static int fail(const char *why) {
    mvm_ci_fail(why, strlen(why));
    return 1;
}

MVM_CI_RUN {
    char job[15], status[8];
    shop[mvm_ci_input_read(shop, 0, sizeof shop - 1)] = 0;
    mvm_ci_call("job.info", "{}", answer, sizeof answer);
    mvm_ci_field(answer, "job", job, sizeof job);
    const char *item = "{\"item\": 7}";
    mvm_ci_base64(item, strlen(item), body);
    // A key of its own, the same at every attempt: the shop knows a repetition from a second order.
    snprintf(document, sizeof document,
             "{\"method\": \"POST\", \"url\": %s, \"body\": \"%s\", \"idempotent\": true, "
             "\"headers\": [[\"idempotency-key\", \"order-%s\"]]}",
             shop, body, job);
    for (int attempt = 1;; attempt++) {
        mvm_ci_request(document, answer, sizeof answer);
        if (!mvm_ci_ok(answer)) return fail(answer);
        mvm_ci_field(answer, "status", status, sizeof status);
        if (strcmp(status, "503") != 0) break;
        if (attempt == 5) return fail("the shop is out of order");
        mvm_ci_sleep_ms(200 * attempt);
    }
    mvm_ci_field(answer, "body", body, sizeof body);
    mvm_ci_output(body, mvm_ci_unbase64(body, body));
    return 0;
}
