"""Errors, as RFC 9457 problem documents."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error. ``title`` is fixed for a code; ``detail`` says what, where and what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
