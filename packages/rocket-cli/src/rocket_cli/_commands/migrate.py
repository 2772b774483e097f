"""The command ``migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.kinds import FILE, Choice

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the path of a file."""
    return FILE.shell_complete(ctx, parameter, incomplete)


@click.command()
@click.argument(
    "words", nargs=-1, required=True, metavar="FILE | -- COMMAND...", shell_complete=_files
)
@click.option(
    "--from",
    "kind",
    type=Choice(["gunicorn", "uwsgi", "waitress", "mod_wsgi"]),
    metavar="SERVER",
    help="Read the configuration of this server: gunicorn, uwsgi, waitress or mod_wsgi. Default: "
    "recognised by the content.",
)
@click.option(
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write the settings to this file. Default: standard output.",
)
@click.option(
    "--env-output",
    type=FILE,
    metavar="FILE",
    help="Write the variables that the server sets (raw_env, env) to this file, and name it as "
    "env-file.",
)
@click.option("--force", is_flag=True, help="Replace existing files.")
def migrate(
    *,
    words: tuple[str, ...],
    kind: str | None,
    output: Path | None,
    env_output: Path | None,
    force: bool,
) -> None:
    """Make a rocket.toml from the configuration of gunicorn, uWSGI, waitress or mod_wsgi.

    FILE is a configuration file: gunicorn.conf.py, uwsgi.ini (or .yaml, .xml, .json), an ini file
    of Paste with waitress or gunicorn as its server, or a configuration of Apache with WSGI
    directives. COMMAND is the command that starts the server, as in: rocket-cli migrate -- gunicorn
    -w 4 shop.wsgi

    A configuration file of gunicorn is a Python program. It is run, as gunicorn runs it, in a
    process of its own: only migrate files that you trust.

    Options that have no counterpart are reported on standard error, and in comments in the new
    file, with the reason and what to do instead.
    """
    from rocket_cli._migration.document import document, messages, summary
    from rocket_cli._migration.sources import migrate_command, migrate_file
    from rocket_cli._migration.variables import place_variables

    for path in (output, env_output):
        if path is not None and path.exists() and not force:
            raise CommandError(f"{path} exists: use --force to replace it")
    draft = (
        migrate_file(Path(words[0]), kind)
        if len(words) == 1 and _is_file(words[0])
        else migrate_command(words, kind)
    )
    variables = place_variables(draft, env_output)
    source = words[0] if len(words) == 1 else f"the command {' '.join(words)}"
    text = document(draft, source)
    try:
        if env_output is not None and variables:
            env_output.write_text(variables, encoding="utf-8")
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from error
    for line in messages(draft):
        click.echo(line, err=True)
    click.echo(summary(draft, output), err=True)


def _is_file(word: str) -> bool:
    """Return whether a single word is a file, and not the program of a command."""
    from rocket_cli._migration.sources import is_program

    return Path(word).exists() or not is_program(word)
