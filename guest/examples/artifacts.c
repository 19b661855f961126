// Keeps a table of squares as an artifact, a line at a time, and reads it again.
#include <stdio.h>
#include <string.h>

#include "mvm_ci.h"

static char answer[512], piece[64 << 10];

MVM_CI_RUN {
    mvm_ci_call("artifact.begin", "{\"name\": \"squares.txt\", \"media\": \"text/plain\"}", answer, sizeof answer);
    for (int number = 1; number <= 1000; number++) {
        int size = snprintf(piece, sizeof piece, "%d\n", number * number);
        mvm_ci_artifact_write("squares.txt", piece, size);
    }
    mvm_ci_call("artifact.end", "{\"name\": \"squares.txt\"}", answer, sizeof answer);
    char *digest = strstr(answer, "\"digest\":\"");
    if (!digest) {
        mvm_ci_fail(answer, strlen(answer));
        return 1;
    }
    digest += strlen("\"digest\":\"");
    int lines = 0, got;
    for (uint64_t at = 0; (got = mvm_ci_artifact_read(digest, at, piece, sizeof piece)) > 0; at += got)
        for (int byte = 0; byte < got; byte++) lines += piece[byte] == '\n';
    mvm_ci_output(answer, snprintf(answer, sizeof answer, "{\"lines\": %d}", lines));
    return 0;
}
