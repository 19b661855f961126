# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "memo"
# ///
"""Computes something once, whatever happens to its workers: ``memo`` records the value."""

import random
import time

import mvm_ci


def sample(points):
    """An estimate of pi: much computing, one number."""
    print(f"sampling {points} points")
    return 4 * sum(random.random() ** 2 + random.random() ** 2 < 1 for _ in range(points)) / points


def run(input):
    estimates = [mvm_ci.memo("pi", sample, input["points"]) for _ in range(input["rounds"])]
    time.sleep(input.get("pause", 0))
    return {"pi": sum(estimates) / len(estimates), "drawn": random.random()}
