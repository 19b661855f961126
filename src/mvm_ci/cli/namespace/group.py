"""``mvm-ci namespace``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "create": Lazy("mvm_ci.cli.namespace.create", "create", "Create a namespace."),
    "list": Lazy("mvm_ci.cli.namespace.list", "list_namespaces", "List namespaces and their quotas."),
    "show": Lazy("mvm_ci.cli.namespace.show", "show", "Show a namespace and its quota."),
    "quota": Lazy("mvm_ci.cli.namespace.quota", "quota", "Change the quota of a namespace."),
    "delete": Lazy(
        "mvm_ci.cli.namespace.delete", "delete", "Delete an empty namespace and revoke its tokens."
    ),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def namespace() -> None:
    """Create namespaces, limit and delete them."""
