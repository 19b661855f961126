"""`make bench`: honest numbers for the hot path, on real processes."""
