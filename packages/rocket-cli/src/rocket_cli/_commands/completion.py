"""The command ``completion``."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), metavar="|".join(_SHELLS))
def completion(*, shell: str) -> None:
    """Print a script that lets a shell complete commands, options and values.

    For bash, add eval "$(rocket-cli completion bash)" to ~/.bashrc; for zsh, add the line with zsh
    to ~/.zshrc. For fish, run once: rocket-cli completion fish >
    ~/.config/fish/completions/rocket-cli.fish
    """
    from click.shell_completion import get_completion_class

    from rocket_cli._commands.main import main

    made_by = get_completion_class(shell)
    assert made_by is not None  # noqa: S101 - click supports each of these shells
    click.echo(made_by(main, {}, "rocket-cli", "_ROCKET_CLI_COMPLETE").source())
