// One guest for many tests: the first byte of the input says what to do, the rest is its argument.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "mvm_ci.h"

static char input[1 << 16], out[1 << 20];

static void say(const char *text) { mvm_ci_output(text, (uint32_t)strlen(text)); }

static int recurse(int depth);
static int (*volatile recurse_again)(int) = recurse;  // so that no loop is made of it

// Without variables in memory: it is the engine's stack that overflows, not the one in the guest's memory.
static int recurse(int depth) {
    return recurse_again(depth + 1) + depth;
}

static void clocks(void) {
    struct timespec wall, mono, resolution;
    unsigned char random[8];
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_getres(CLOCK_MONOTONIC, &resolution);
    getentropy(random, sizeof random);
    sched_yield();
    snprintf(out, sizeof out, "%lld.%09ld %lld.%09ld %ld %02x%02x %lld", (long long)wall.tv_sec, wall.tv_nsec,
             (long long)mono.tv_sec, mono.tv_nsec, resolution.tv_nsec, random[0], random[7],
             (long long)mvm_ci_now_ms());
    say(out);
}

static void sleeps(void) {
    struct timespec until = {5, 250};
    usleep(1500);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
    mvm_ci_sleep_ms(-5);
    mvm_ci_sleep_ms(7);
    say("slept");
}

static void http(const char *request) {
    uint32_t size = mvm_ci_http(request, (uint32_t)strlen(request));
    uint32_t half = mvm_ci_http_read(out, 0, size / 2);
    uint32_t rest = mvm_ci_http_read(out + half, half, sizeof out - half);
    mvm_ci_output(out, half + rest);
}

static void files(void) {
    FILE *file = fopen("/etc/passwd", "r");
    int error = errno;
    char line[8];
    snprintf(out, sizeof out, "%s %d %s %s", file ? "opened" : "refused", error != 0,
             fgets(line, sizeof line, stdin) ? "input" : "eof", getenv("HOME") ? "home" : "none");
    say(out);
}

static void print(void) {
    printf("to stdout\n");
    fprintf(stderr, "to stderr\n");
    mvm_ci_log("h\xc3", 2);
    mvm_ci_log("\xa4 end \xff\xe2\x82", 8);
}

static void bad_pointer(int which) {
    char *far = (char *)0xfffffff0u;
    if (which == 0) mvm_ci_output(far, 64);
    if (which == 1) mvm_ci_input_read(far, 0, 64);
    if (which == 2) mvm_ci_log(far, 64);
    if (which == 3) mvm_ci_http(far, 64);
    if (which == 4) mvm_ci_fail(out, 0xffffffffu);
    if (which == 5) getentropy(far, 64);
    if (which == 6) clock_gettime(CLOCK_REALTIME, (struct timespec *)far);
    if (which == 7) *(volatile int *)far = 1;
}

static void *volatile kept;  // so that the compiler keeps the allocations

static void grow(void) {
    // What an allocator does that aborts when there is no memory.
    for (;;) {
        void *more = malloc(1 << 20);
        if (!more) abort();
        kept = more;
    }
}

MVM_CI_RUN {
    uint32_t size = mvm_ci_input_read(input, 0, sizeof input - 1);
    char *argument = input + 1;
    volatile int zero = 0;
    input[size] = 0;
    switch (input[0]) {
        case 'c': clocks(); return 0;
        case 's': sleeps(); return 0;
        case 'h': http(argument); return 0;
        case 'e': files(); return 0;
        case 'p': print(); return 0;
        case 'b': bad_pointer(atoi(argument)); return 0;
        case 'o': mvm_ci_output(out, (uint32_t)atoi(argument)); return 0;
        case 'O': say("first"); say("second"); return 0;
        case 'f': mvm_ci_fail(argument, (uint32_t)strlen(argument)); return 0;
        case 'n': return atoi(argument);
        case 'x': exit(atoi(argument));
        case 'u': __builtin_trap();
        case 'd': return 100000 / zero;
        case 'r': return recurse(0);
        case 'l': for (;;) zero++;
        case 'L': for (;;) mvm_ci_now_ms();
        case 'm': kept = malloc(100 << 20); say(kept ? "got it" : "none"); return 0;
        case 'g': grow();
    }
    return 99;
}
