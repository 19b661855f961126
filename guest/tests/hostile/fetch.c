// Performs the request that its input is, reads the answer to its end, and says how large it was.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char request[4096], piece[1 << 16], out[64];

MVM_CI_RUN {
    uint32_t size = mvm_ci_http(request, mvm_ci_input_read(request, 0, sizeof request)), sum = 0;
    for (uint32_t at = 0; at < size;) {
        uint32_t got = mvm_ci_http_read(piece, at, sizeof piece);
        for (uint32_t i = 0; i < got; i++) sum = sum * 31 + (unsigned char)piece[i];
        at += got;
    }
    mvm_ci_output(out, (uint32_t)snprintf(out, sizeof out, "%u %08x", size, sum));
    return 0;
}
