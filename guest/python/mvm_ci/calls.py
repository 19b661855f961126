"""Calls by name: the way of every function of this package to the host."""

import json

from wit_world.imports import host


class CallError(Exception):
    """The host, or the control plane, did not do what it was asked for. ``kind``: for programs, see guest/abi/calls.md."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def call(name, argument):
    """What the host answers. Raises ``CallError``."""
    answer = json.loads(host.call(name, json.dumps(argument, allow_nan=False)))
    if "error" in answer:
        raise CallError(answer["error"]["kind"], answer["error"]["message"])
    return answer["ok"]
