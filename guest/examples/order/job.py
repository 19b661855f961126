# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "order"
# ///
"""Orders something at a shop that is out of order now and then; it is ordered once."""

import mvm_ci
from mvm_ci import http


def run(input):
    shop, patient = input["shop"], http.Retry(attempts=5, first_s=0.2)
    lamp = http.get(f"{shop}/items", params={"name": "lamp"}, retry=patient).raise_for_status()
    ordered = http.post(
        f"{shop}/orders",
        json={"item": lamp.json()["id"]},
        timeout=10,
        idempotency_key=f"order-{mvm_ci.job().id}",
        retry=patient,
    )
    return {"status": ordered.status_code, **ordered.raise_for_status().json()}
