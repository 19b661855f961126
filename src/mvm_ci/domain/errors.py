"""The tree of errors, sorted by what the caller must do.

::

    MvmCiError                    every error of ours; its text is one line: what, where, what to do
    ├── BadInput                  change the request; repeating it cannot help            (HTTP 400, 413, 422)
    │   └── BadModule             the bytes are not a module that can run here
    ├── NotFound                  there is no such job, module, worker                     (404)
    ├── Refused                   the caller may not: bad token, revoked key               (401, 403)
    ├── Conflict                  the state forbids it; look again, then decide            (409)
    │   ├── KeyReused             the idempotency key stands for another request
    │   ├── VersionTaken          the version of that name stands for another module
    │   ├── IllegalTransition     a job's state has no such transition
    │   └── StaleEpoch            the placement is over: stop, and write nothing more
    ├── Unavailable               repeat later: draining, not connected, timed out         (503)
    │   ├── QueueFull             the control plane holds as many jobs as it takes         (429)
    │   ├── DiskFull              the control plane's disk has no room for more            (429)
    │   └── QuotaExceeded         the namespace has used up what it may                    (429)
    ├── ProtocolError             the peer broke the protocol: close that connection
    ├── NondeterminismDetected    replay and journal disagree: park the job
    ├── CorruptJournal            stored entries cannot be read: refuse the job
    ├── SecretMissing             a secret that a guest reads is not there: park the job
    └── Misconfigured             the operator must change a setting or a file; the process ends with exit
    code 2
"""


class MvmCiError(Exception):
    """Base of all errors of this package. ``code`` is stable and documented."""

    code = "error"


class BadInput(MvmCiError):
    """The request cannot be carried out as it is."""

    code = "bad-input"


class BadModule(BadInput):
    """The bytes are no WebAssembly module or component that can run here."""

    code = "bad-module"


class TooLarge(BadInput):
    """A body, input, module or batch is over its limit."""

    code = "too-large"


class NotFound(MvmCiError):
    """There is no such thing."""

    code = "not-found"


class Refused(MvmCiError):
    """The caller has no permission. Never says more than needed."""

    code = "refused"


class Conflict(MvmCiError):
    """The present state forbids it."""

    code = "conflict"


class KeyReused(Conflict):
    """An idempotency key stands for another request."""

    code = "key-reused"


class VersionTaken(Conflict):
    """A version of a module's name stands for another module, for good."""

    code = "version-taken"


class IllegalTransition(Conflict):
    """A job's state has no such transition."""

    code = "illegal-transition"

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"a job that is {state} cannot {event}")
        self.state = state
        self.event = event


class StaleEpoch(Conflict):
    """The placement is not the job's current one any more."""

    code = "stale-epoch"


class Unavailable(MvmCiError):
    """Not now; the same request may succeed later."""

    code = "unavailable"


class QueueFull(Unavailable):
    """The queue takes no more. ``retry_after_s``: seconds after which it is worth another try."""

    code = "queue-full"

    def __init__(self, text: str, retry_after_s: int = 5) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class DiskFull(Unavailable):
    """The disk has no room for more. ``retry_after_s`` as of ``QueueFull``."""

    code = "disk-full"

    def __init__(self, text: str, retry_after_s: int = 30) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class QuotaExceeded(Unavailable):
    """A namespace would hold more than its quota. ``retry_after_s`` as of ``QueueFull``."""

    code = "quota-exceeded"

    def __init__(self, text: str, retry_after_s: int = 30) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class ProtocolError(MvmCiError):
    """The peer sent what the protocol does not allow."""

    code = "protocol-error"


class NondeterminismDetected(MvmCiError):
    """A replayed guest asked for something else than its journal records at ``index``."""

    code = "nondeterminism"

    def __init__(self, index: int, recorded: str, asked: str) -> None:
        super().__init__(f"entry {index} of the journal records {recorded}, but the guest asked for {asked}")
        self.index = index
        self.recorded = recorded
        self.asked = asked


class CorruptJournal(MvmCiError):
    """Stored journal bytes cannot be read."""

    code = "corrupt-journal"


class SecretMissing(MvmCiError):
    """A guest reads a secret of its job, and the version that counts is not there."""

    code = "secret-missing"

    def __init__(self, name: str, version: int | None) -> None:
        what = f"the secret {name!r}" if version is None else f"version {version} of the secret {name!r}"
        super().__init__(f"{what}, which the job reads, is not there any more; an operator can set it")
        self.name = name
        self.version = version


class Misconfigured(MvmCiError):
    """A setting, a file or the machine is not as it must be."""

    code = "misconfigured"
