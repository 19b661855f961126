"""A secret as the commands show it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvm_ci.wire.api import SecretView


def print_secret(view: "SecretView", *, as_json: bool) -> None:
    """All of it but the value, which nobody is told."""
    from mvm_ci.cli import output

    if as_json:
        output.print_json(output.fields(view))
        return
    earlier = view.versions - 1
    output.print_fields(
        (
            ("name", view.name),
            ("version", view.version),
            ("changed", output.when(view.changed_ms)),
            ("modules", " ".join(view.modules) or "none: no job may read it"),
            ("earlier versions", f"{earlier}, kept for jobs that may have read them" if earlier else None),
        )
    )
