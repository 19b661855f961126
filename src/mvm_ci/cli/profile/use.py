"""``mvm-ci profile use``."""

import click

from mvm_ci.cli.options import complete_profile, local_options


@click.command()
@click.argument("name", shell_complete=complete_profile)
@local_options
def use(*, name: str, as_json: bool) -> None:
    """Choose the profile that counts if none is named."""
    from mvm_ci.cli import output
    from mvm_ci.cli.options import config_path
    from mvm_ci.config.profiles import use_profile

    path = config_path()
    use_profile(path, name)
    if as_json:
        output.print_json({"name": name, "config": str(path)})
    else:
        click.echo(name)
