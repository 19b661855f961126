// A WASI command: it has main, and ends with an exit code.
#include <stdio.h>
#include <stdlib.h>

#include "mvm_ci.h"

int main(int count, char **arguments) {
    char code[8] = {0};
    mvm_ci_input_read(code, 0, sizeof code - 1);
    printf("%d arguments\n", count);
    mvm_ci_output("done", 4);
    return atoi(code);
}
