// Host calls and steps: the input's first letter says what, the number after it how often.
//   n: reads the clock through the host, which journals it
//   i: asks for the size of the input, which nothing records
//   s: sleeps 2 ms
//   l: computes for ever
#include <stdlib.h>

#include "mvm_ci.h"

static char input[32];
static volatile int forever = 1;

MVM_CI_RUN {
    mvm_ci_input_read(input, 0, sizeof input - 1);
    // A JSON string: the letter follows the quotation mark.
    char *what = input[0] == '"' ? input + 1 : input;
    long count = atol(what + 1);
    for (long step = 0; step < count; step++) {
        switch (*what) {
        case 'n': mvm_ci_now_ms(); break;
        case 'i': mvm_ci_input_size(); break;
        case 's': mvm_ci_sleep_ms(2); break;
        }
    }
    while (*what == 'l' && forever) {
    }
    return 0;
}
