"""``mvm-ci profile remove``."""

import click

from mvm_ci.cli.confirm import yes_option
from mvm_ci.cli.options import complete_profile, local_options


@click.command()
@click.argument("name", shell_complete=complete_profile)
@yes_option
@local_options
def remove(*, name: str, yes: bool, as_json: bool) -> None:
    """Remove a profile from the configuration file.

    The file with its token, if it has one, stays.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.confirm import confirm
    from mvm_ci.cli.options import config_path
    from mvm_ci.config.profiles import remove_profile

    path = config_path()
    confirm(f"remove the profile {name} from {path}", yes=yes)
    remove_profile(path, name)
    if as_json:
        output.print_json({"name": name, "config": str(path)})
    else:
        click.echo(name)
