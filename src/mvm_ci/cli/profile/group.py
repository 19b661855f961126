"""``mvm-ci profile``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "list": Lazy("mvm_ci.cli.profile.list", "list_profiles", "List profiles."),
    "add": Lazy("mvm_ci.cli.profile.add", "add", "Add a profile to the configuration file."),
    "use": Lazy("mvm_ci.cli.profile.use", "use", "Choose the profile that counts if none is named."),
    "remove": Lazy("mvm_ci.cli.profile.remove", "remove", "Remove a profile from the configuration file."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def profile() -> None:
    """Keep addresses and tokens of several control planes.

    A profile is chosen with --profile, with MVM_CI_PROFILE, or for good with 'mvm-ci profile use'.
    """
