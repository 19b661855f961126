// What its input says, a JSON string: "w100" waits 100 ms, "c5000000" computes for so many turns.
#include <stdlib.h>

#include "mvm_ci.h"

static char input[32];
static volatile unsigned turns;

MVM_CI_RUN {
    mvm_ci_input_read(input, 0, sizeof input - 1);
    char *what = input[0] == '"' ? input + 1 : input;
    long count = atol(what + 1);
    if (*what == 'w')
        mvm_ci_sleep_ms(count);
    else
        for (long turn = 0; turn < count; turn++)
            turns++;
    return 0;
}
