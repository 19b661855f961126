"""`make bench`: honest numbers on real processes, one workload a file."""
