"""Run the command as ``python -m rocket_cli``."""

from rocket_cli._commands.main import main

main(prog_name="rocket-cli")
