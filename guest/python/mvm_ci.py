"""What a job asks of MVM-CI beyond the standard library: ``import mvm_ci``."""

import json
import random

from wit_world.imports import host


class CallError(Exception):
    """The host refused a call. ``kind``: for programs."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def memo(name, function, *arguments, **named):
    """What ``function(*arguments, **named)`` returned when it was called under ``name`` first.

    The value, anything that JSON can hold, is recorded: after a crash it is not computed again, and what the function
    asked of the outside meanwhile is passed by. Returned is what JSON makes of it (a tuple becomes a list), the first
    time, too. One name may be used again and again: each time counts for itself.

    What the function changes is not recorded, only what it returns. The module ``random`` is freshly seeded for it, and
    goes on afterwards as if it had not been used.
    """
    found = _call("memo.get", {"name": name})
    if found is not None:
        return found["value"]
    state = random.getstate()
    try:
        random.seed()
        value = json.loads(json.dumps(function(*arguments, **named), allow_nan=False))
    except BaseException:
        _call("memo.drop", {"name": name})
        raise
    finally:
        random.setstate(state)
    _call("memo.put", {"name": name, "value": value})
    return value


def secret(name):
    """The value of a secret that the job names (``secrets`` in its header) and that an operator lets it read.

    Wherever it stands in what the job prints or returns, in its errors, and in answers to its requests, it is masked.
    """
    return _call("secret.get", {"name": name})


def _call(name, argument):
    answer = json.loads(host.call(name, json.dumps(argument, allow_nan=False)))
    if "error" in answer:
        raise CallError(answer["error"]["kind"], answer["error"]["message"])
    return answer["ok"]
