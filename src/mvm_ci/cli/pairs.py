"""``KEY=VALUE`` on the command line."""

from collections.abc import Sequence

import click


def as_metadata(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """The callback of ``--meta KEY=VALUE``; the command gets a mapping."""
    return _pairs(ctx, param, values, "KEY=VALUE")


def as_artifacts(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """The callback of ``--artifact NAME=FILE``; the command gets a mapping."""
    return _pairs(ctx, param, values, "NAME=FILE")


def _pairs(ctx: click.Context, param: click.Parameter, values: Sequence[str], form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not {form}", ctx, param)
        if key in found:
            raise click.BadParameter(f"names {key!r} twice", ctx, param)
        found[key] = value
    return found


def as_labels(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """The callback of ``--label KEY[=VALUE]``; the command gets a mapping."""
    from mvm_ci.domain.labels import parse_labels

    try:
        return parse_labels(values)
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)} {error}", ctx, param) from None
