"""Who may do what: namespaces."""

import msgspec

from mvm_ci.domain.quota import Quota


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """Whose jobs, modules and schedules they are. ``name``: as ``domain.namespace`` checks it."""

    name: str
    created_ms: int
    quota: Quota = Quota()
