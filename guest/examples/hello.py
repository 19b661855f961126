# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "hello"
# ///
"""The smallest Python job: greets whom the input names."""

import datetime


def run(input):
    name = (input or {}).get("name", "world")
    print(f"saying hello to {name}")
    return {"greeting": f"Hello, {name}!", "at": datetime.datetime.now(datetime.timezone.utc).isoformat()}
