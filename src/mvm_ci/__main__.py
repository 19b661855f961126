"""``python -m mvm_ci``: the same as ``mvm-ci``."""

from mvm_ci.cli.main import main

if __name__ == "__main__":
    main()
