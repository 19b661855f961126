// Does something again and again: each round begins with an empty journal. Input: {"round": 1, "rounds": 3}.
#include <stdio.h>
#include <stdlib.h>

#include "mvm_ci.h"

static char input[256], text[256], answer[1024];

MVM_CI_RUN {
    char round[16], rounds[16];
    input[mvm_ci_input_read(input, 0, sizeof input - 1)] = 0;
    mvm_ci_field(input, "round", round, sizeof round);
    mvm_ci_field(input, "rounds", rounds, sizeof rounds);
    snprintf(text, sizeof text, "{\"text\": \"going round\", \"done\": %s, \"total\": %s}", round, rounds);
    mvm_ci_call("job.progress", text, answer, sizeof answer);
    snprintf(text, sizeof text, "{\"metadata\": {\"stage\": \"round %s\"}}", round);
    mvm_ci_call("job.metadata", text, answer, sizeof answer);
    mvm_ci_sleep_ms(100);
    if (atoi(round) < atoi(rounds)) {
        snprintf(text, sizeof text, "{\"input\": {\"round\": %d, \"rounds\": %s}}", atoi(round) + 1, rounds);
        mvm_ci_call("job.continue", text, answer, sizeof answer); // does not return
    }
    mvm_ci_output(text, snprintf(text, sizeof text, "{\"rounds\": %s}", round));
    return 0;
}
