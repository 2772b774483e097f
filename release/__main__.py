"""The command line: python -m release."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from release.bump import bump, wanted
from release.errors import ReleaseError
from release.notes import notes
from release.packages import ROOT, packages
from release.reproduced import differing, sums
from release.tags import selected, tags_of


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description="Make a release of the packages.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    command = commands.add_parser("bump", help="give packages new versions, and date their changes")
    command.add_argument(
        "pairs", nargs="+", metavar="PACKAGE VERSION", help="core, wsgi, tls, cli or all; 1.2.3"
    )
    command.add_argument(
        "--date",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        metavar="YYYY-MM-DD",
        help="the day of the release (today)",
    )

    command = commands.add_parser("notes", help="print the notes of a release")
    command.add_argument("tag", nargs="?", help="the tag of the release (all packages)")

    command = commands.add_parser(
        "order", help="print the packages of a tag, as they are published"
    )
    command.add_argument("tag", nargs="?", help="the tag of the release (all packages)")

    command = commands.add_parser("check", help="check the contents of the distributions")
    command.add_argument("folder", type=Path, help="the folder with all of them")

    command = commands.add_parser("compare", help="compare a second build with the first")
    command.add_argument("folder", type=Path, help="the folder of the first")
    command.add_argument("again", type=Path, help="the folder of the second, which may have less")

    command = commands.add_parser("sbom", help="print the bill of materials of an environment")
    command.add_argument("python", type=Path, help="its interpreter")

    command = commands.add_parser("sums", help="print the SHA-256 of each file of a folder")
    command.add_argument("folder", type=Path)
    return parser


def _run(options: argparse.Namespace) -> int:
    known = packages()
    if options.command == "bump":
        versions = wanted(options.pairs, known)
        print("\n".join(bump(ROOT, versions, options.date)))
        tags = tags_of([each.name for each in known if each.name in versions], packages())
        print(f"Next: review, commit, and release it by the tag {', '.join(tags)}")
    elif options.command in ("notes", "order"):
        chosen = selected(options.tag, known) if options.tag else known
        if options.command == "notes":
            print(notes(chosen), end="")
        else:
            print("\n".join(package.name for package in chosen))
    elif options.command == "check":
        from release.contents import faults

        found = list(faults(options.folder, known))
        print("\n".join(found) or f"The distributions in {options.folder} are complete.")
        return 1 if found else 0
    elif options.command == "compare":
        found = differing(options.folder, options.again)
        print("\n".join(f"{name} differs" for name in found) or "The second build is the same.")
        return 1 if found else 0
    elif options.command == "sbom":
        from release.sbom import bill

        print(bill(options.python, known[-1]), end="")
    else:
        print(sums(options.folder), end="")
    return 0


def main() -> int:
    """Run the command; 1 if something is refused or wrong."""
    try:
        return _run(_parser().parse_args())
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
