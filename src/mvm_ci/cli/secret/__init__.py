"""``mvm-ci secret``."""
