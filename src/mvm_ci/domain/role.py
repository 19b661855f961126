"""What a token allows."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an API token allows; each role includes those after it."""

    ADMIN = "admin"  # everything: tokens, namespaces, who may join
    OPERATOR = "operator"  # workers, and the limits of others' jobs
    SUBMITTER = "submitter"  # modules and jobs
    VIEWER = "viewer"  # look, change nothing

    def includes(self, other: "Role") -> bool:
        """Whether this role allows what ``other`` does."""
        return _RANK[self] <= _RANK[other]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}
