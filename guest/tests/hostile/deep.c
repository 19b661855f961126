// Calls itself without end. The input says how.
#include <stdlib.h>
#include <string.h>

#include "mvm_ci.h"

static int plain(int depth);
static int (*volatile again)(int) = plain;  // so that no loop is made of it

// Without variables in memory: it is the engine's stack that overflows.
static int plain(int depth) {
    return again(depth + 1) + depth;
}

// With them: it is the stack in the guest's own memory.
static int large(int depth) {
    volatile char room[1024];
    room[depth & 1023] = 1;
    return large(depth + 1) + room[0];
}

// Makes a host call at each depth, the last one with hardly any stack left.
static int calling(int depth);
static int (*volatile once_more)(int) = calling;

static int calling(int depth) {
    static char read;
    mvm_ci_input_read(&read, 0, 1);
    if (depth % 1024 == 0) mvm_ci_log("d", 1);
    return once_more(depth + 1) + depth;
}

// Asks for memory until there is none, as an allocator does that gives up then.
static void *volatile kept;

static void allocating(void) {
    for (;;) {
        void *more = malloc(1 << 20);
        if (!more) abort();
        memset(more, 1, 1 << 20);
        kept = more;
    }
}

MVM_CI_RUN {
    char how;
    mvm_ci_input_read(&how, 0, 1);
    if (how == 'p') return plain(0);
    if (how == 'l') return large(0);
    if (how == 'c') return calling(0);
    if (how == 'a') allocating();
    return 0;
}
