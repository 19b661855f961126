# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "rounds"
# ///
"""Does something again and again: each round begins with an empty journal."""

import time

import mvm_ci


def run(input):
    number, rounds = input["round"], input["rounds"]
    mvm_ci.progress("going round", number, rounds)
    mvm_ci.metadata(stage=f"round {number}")
    time.sleep(input.get("pause", 0.1))
    if number < rounds:
        mvm_ci.continue_as_new({**input, "round": number + 1})
    return {"rounds": number, "attempt": mvm_ci.job().attempt}
