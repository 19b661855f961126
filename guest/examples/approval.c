// Asks a human: opens a promise, tells the desk where it is kept, and waits for a day. Input: the desk's URL.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char desk[1024], answer[1 << 14], asked[4096], body[8192], document[1 << 14];

static int fail(const char *why) {
    mvm_ci_fail(why, strlen(why));
    return 1;
}

MVM_CI_RUN {
    char id[100], url[1024], token[100], topic[128], by[100], result[200];
    desk[mvm_ci_input_read(desk, 0, sizeof desk - 1)] = 0;
    mvm_ci_call("promise.create", "{\"label\": \"a question\"}", answer, sizeof answer);
    if (!mvm_ci_ok(answer)) return fail(answer);
    mvm_ci_field(answer, "promise", id, sizeof id);
    mvm_ci_field(answer, "url", url, sizeof url);
    mvm_ci_field(answer, "token", token, sizeof token);

    // Whoever has the token can keep the promise: it goes to the desk, and not into the log.
    int size = snprintf(asked, sizeof asked, "{\"url\": \"%s\", \"token\": \"%s\"}", url, token);
    mvm_ci_base64(asked, size, body);
    snprintf(document, sizeof document,
             "{\"method\": \"POST\", \"url\": %s, \"body\": \"%s\", \"idempotent\": true}", desk, body);
    mvm_ci_request(document, answer, sizeof answer);
    if (!mvm_ci_ok(answer)) return fail(answer);

    snprintf(topic, sizeof topic, "promise:%s", id);
    if (!mvm_ci_wait(topic, 86400, answer, sizeof answer)) return fail("nobody answered");
    if (!mvm_ci_field(answer, "by", by, sizeof by)) return fail(answer);
    mvm_ci_output(result, snprintf(result, sizeof result, "{\"approved\": true, \"by\": \"%s\"}", by));
    return 0;
}
