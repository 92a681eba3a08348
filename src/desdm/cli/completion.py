"""desdm completion: the lines that teach a shell to complete desdm's commands and options."""

from __future__ import annotations

import click

_WHERE = {
    "bash": 'eval "$(desdm completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(desdm completion zsh)" in ~/.zshrc',
    "fish": "desdm completion fish > ~/.config/fish/completions/desdm.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_WHERE)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Write the completion script of SHELL.

    \b
    bash   eval "$(desdm completion bash)" in ~/.bashrc
    zsh    eval "$(desdm completion zsh)" in ~/.zshrc
    fish   desdm completion fish > ~/.config/fish/completions/desdm.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(f"# {_WHERE[shell]}")
    click.echo(kind(ctx.find_root().command, {}, "desdm", "_DESDM_COMPLETE").source())
