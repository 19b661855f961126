"""What a job asks of MVM-CI beyond the standard library: ``import mvm_ci``.

Children: ``start``, ``start_all``. Messages: ``send``, ``receive``, ``messages``. Promises: ``promise``. Waiting for them:
``result`` of each, ``gather``, ``first``, ``as_completed``, or ``await`` in ``async def run(input)``. Requests:
``mvm_ci.http``. Artifacts: ``put_artifact``, ``get_artifact``, ``list_artifacts``. The job itself: ``job``, ``progress``, ``metadata``, ``memo``, ``secret``, ``continue_as_new``; ``Cancelled``.
"""

from mvm_ci import http
from mvm_ci.artifacts import Artifact, get_artifact, list_artifacts, put_artifact
from mvm_ci.calls import CallError, Cancelled
from mvm_ci.children import Child, start, start_all
from mvm_ci.mail import Message, Messages, Promise, messages, promise, receive, receive_async, send
from mvm_ci.this_job import Job, continue_as_new, job, memo, metadata, progress, secret
from mvm_ci.waiting import Failed, as_completed, first, gather

__all__ = [
    "Artifact", "CallError", "Cancelled", "Child", "Failed", "Job", "Message", "Messages", "Promise", "as_completed",
    "continue_as_new", "first", "gather", "get_artifact", "http", "job", "list_artifacts", "memo", "messages", "metadata",
    "progress", "promise", "put_artifact", "receive", "receive_async", "secret", "send", "start", "start_all",
]  # fmt: skip
