# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "knock"
# allow-hosts = ["127.0.0.1:*"]
# secrets = ["API_TOKEN"]
# ///
"""Sends a secret to a server, and tells it to everybody, to show what becomes of that."""

import urllib.request

import mvm_ci


def run(url):
    token = mvm_ci.secret("API_TOKEN")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        print(f"{answer.status} for {token}")
        return {"said": answer.read().decode(), "token": token}
