"""This job: what it is, how far it is, what it has computed, how it goes on."""

import json
import random

from mvm_ci.calls import call


class Job:
    """This job. ``id``, ``attempt``; ``module``: the digest of its module."""

    def __init__(self, id, attempt, module):
        self.id = id
        self.attempt = attempt
        self.module = module

    def __repr__(self):
        return f"job {self.id}"


def job():
    """This job."""
    info = call("job.info", {})
    return Job(info["job"], info["attempt"], info["module"])


def progress(text="", done=None, total=None):
    """Tells users how far this job is."""
    call("job.progress", {"text": text, "done": done, "total": total})


def metadata(**values):
    """Sets keys of this job's metadata, by which it can be found: texts; None takes one away."""
    call("job.metadata", {"metadata": values})


def continue_as_new(input=None):
    """Ends this execution and begins a new one of this job, with another input and an empty journal. Does not return."""
    call("job.continue", {"input": input})


def memo(name, function, *arguments, **named):
    """What ``function(*arguments, **named)`` returned when it was called under ``name`` first.

    The value, anything that JSON can hold, is recorded: after a crash it is not computed again, and what the function
    asked of the outside meanwhile is passed by. Returned is what JSON makes of it (a tuple becomes a list), the first
    time, too. One name may be used again and again: each time counts for itself.

    What the function changes is not recorded, only what it returns. The module ``random`` is freshly seeded for it, and
    goes on afterwards as if it had not been used.
    """
    found = call("memo.get", {"name": name})
    if found is not None:
        return found["value"]
    state = random.getstate()
    try:
        random.seed()
        value = json.loads(json.dumps(function(*arguments, **named), allow_nan=False))
    except BaseException:
        call("memo.drop", {"name": name})
        raise
    finally:
        random.setstate(state)
    call("memo.put", {"name": name, "value": value})
    return value


def secret(name):
    """The value of a secret that the job names (``secrets`` in its header) and that an operator lets it read.

    Wherever it stands in what the job prints or returns, in its errors, and in answers to its requests, it is masked.
    """
    return call("secret.get", {"name": name})
