"""Children: jobs that this one starts."""

from mvm_ci.calls import call
from mvm_ci.this_job import job
from mvm_ci.waiting import Pending


class Child(Pending):
    """A job that this one started. ``id``: its job id, from which a later execution of this job makes it anew."""

    def __init__(self, id):
        super().__init__(f"child:{id}")
        self.id = id

    def __repr__(self):
        return f"child {self.id}"

    def cancel(self):
        """Asks for its end; ``result`` raises ``Failed`` then, unless it was faster."""
        call("child.cancel", {"job": self.id})


def start(input=None, *, module=None, **options):
    """Starts a child with this input, on any worker.

    ``module``: a name, ``name@version`` or a digest; None: this job's own. ``options``: those of a job in the API
    (``max_attempts=3``, ``queue="slow"``, ``labels={"gpu": ""}``, ...).
    """
    return start_all([input], module=module, **options)[0]


def start_all(inputs, *, module=None, **options):
    """Starts a child for each of ``inputs``, all or none; at most 1,000 at once."""
    of = job().module if module is None else module
    jobs = [{"module": of, "input": input, **options} for input in inputs]
    return [Child(id) for id in call("child.start", {"jobs": jobs})["jobs"]] if jobs else []
