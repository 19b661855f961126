# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "counter"
# ///
"""A till: adds up what messages say, for as long as it takes. Every 1,000 messages it begins a new journal."""

import mvm_ci


def run(input):
    total = input["total"] if input else 0
    for received, message in enumerate(mvm_ci.messages("add", "close"), start=1):
        if message.type == "close":
            return {"total": total}
        total += message.body
        mvm_ci.progress(f"total {total}")
        if received == 1_000:
            mvm_ci.continue_as_new({"total": total})
