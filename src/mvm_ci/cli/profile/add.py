"""``mvm-ci profile add``."""

import click

from mvm_ci.cli.options import local_options


@click.command()
@click.argument("name")
@click.option("--url", required=True, metavar="URL", help="Address of the control plane's API.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="File with the API token; - for stdin.",
)
@local_options
def add(*, name: str, url: str, token_file: str | None, as_json: bool) -> None:
    """Add a profile to the configuration file.

    The profile keeps the name of the token's file; only a token from stdin is itself put into the
    configuration file, which then nobody else may read.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.options import config_path
    from mvm_ci.config.profiles import add_profile

    path = config_path()
    add_profile(path, name, url, token_file)
    if as_json:
        output.print_json({"name": name, "config": str(path)})
    else:
        click.echo(name)
        output.note(f"in {path}")
