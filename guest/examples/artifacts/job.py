# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "errors"
# ///
"""Picks the errors out of a log of any size: reads one artifact, keeps another."""

import mvm_ci


def run(input):
    log = mvm_ci.get_artifact("app.log")
    with log.open() as lines:
        found = (line for line in lines if b"ERROR" in line)
        errors = mvm_ci.put_artifact("errors.txt", found, media="text/plain")
    return {"of": log.size, "errors": errors.size, "digest": errors.digest}
