"""Run the command by ``python -m rocket_cli``."""

from rocket_cli import main

main(prog_name="rocket-cli")
