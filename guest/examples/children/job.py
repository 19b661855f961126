# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "primes"
# ///
"""Counts primes: a child for each part of the numbers, on whichever workers are free."""

import mvm_ci


def is_prime(number):
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def run(input):
    if "part" in input:
        return sum(map(is_prime, range(*input["part"])))
    to, parts = input["to"], input["parts"]
    bounds = [to * number // parts for number in range(parts + 1)]
    children = mvm_ci.start_all([{"part": pair} for pair in zip(bounds, bounds[1:])], max_attempts=3)
    primes = 0
    for done, child in enumerate(mvm_ci.as_completed(*children), start=1):
        primes += child.result()
        mvm_ci.progress("counting", done, parts)
    return {"primes": primes}
