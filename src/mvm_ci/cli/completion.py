"""``mvm-ci completion``."""

from typing import Final

import click

PROGRAM: Final = "mvm-ci"
_VARIABLE: Final = "_MVM_CI_COMPLETE"  # the one that click looks at for a program of this name


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print what makes a shell complete commands and options.

    bash: put  eval "$(mvm-ci completion bash)"  into ~/.bashrc.

    zsh: put  eval "$(mvm-ci completion zsh)"  into ~/.zshrc, after compinit.

    fish: mvm-ci completion fish > ~/.config/fish/completions/mvm-ci.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise TypeError(f"click completes for no {shell}")
    click.echo(kind(ctx.find_root().command, {}, PROGRAM, _VARIABLE).source())
