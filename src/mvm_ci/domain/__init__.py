"""Pure values and rules: jobs, placements, retry, ids, outcomes, errors. No I/O, no clock, no randomness."""
