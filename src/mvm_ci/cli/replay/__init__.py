"""``mvm-ci replay``."""
