# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "approval"
# ///
"""Asks a human: opens a promise, tells the desk where it is kept, and waits for days if it must."""

import mvm_ci
from mvm_ci import http

DAY_S = 86_400


def run(input):
    approval = mvm_ci.promise(f"order {input['order']}")
    # Whoever has the token can keep the promise: it goes to the desk, and not into the log.
    asked = {"order": input["order"], "url": approval.url, "token": approval.token}
    http.post(input["desk"], json=asked, idempotent=True, retry=http.Retry(attempts=5)).raise_for_status()
    mvm_ci.progress("waits for the desk")
    try:
        answer = approval.result(timeout=3 * DAY_S)
    except TimeoutError:
        return {"approved": False, "why": "nobody answered"}
    except mvm_ci.Failed as error:
        return {"approved": False, "why": error.message}
    return {"approved": True, "by": answer["by"]}
