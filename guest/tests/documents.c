// The header's functions for documents, applied to the input: '=' and bytes: through base64 and back; else a name, a line
// feed and a JSON document: that member.
#include <string.h>

#include "mvm_ci.h"

static char input[65536], text[90000], value[65536];

MVM_CI_RUN {
    uint32_t size = mvm_ci_input_read(input, 0, sizeof input - 1);
    input[size] = 0;
    if (input[0] == '=') {
        mvm_ci_base64(input + 1, size - 1, text);
        mvm_ci_output(text, strlen(text));
        if (mvm_ci_unbase64(text, text) != size - 1 || memcmp(text, input + 1, size)) return 1;
        return 0;
    }
    char *document = strchr(input, '\n');
    *document++ = 0;
    mvm_ci_output(value, mvm_ci_field(document, input, value, sizeof value));
    return 0;
}
