from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from systemtests.clients import forms
from systemtests.notes import Example, NotesTests
from systemtests.processes import EXAMPLES, PATIENCE, environment

if TYPE_CHECKING:
    from pathlib import Path

    from systemtests.clients import Client
    from systemtests.processes import Server


class TestDjango(NotesTests):
    example = Example("django", "project.wsgi:application", [])

    def test_post_without_a_token_is_refused(self, client: Client) -> None:
        client.get("/")
        fields = {"title": "Forged", "body": "by another site"}
        page = client.post("/", client.base, fields, {})
        assert page.status == 403
        assert "Forged" not in client.get("/").text

    def test_form_sent_by_another_site(self, client: Client, site: Server) -> None:
        fields = forms(client.get("/").text)["/"]
        fields |= {"title": f"Sent through {client.name}", "body": "from elsewhere"}
        page = client.post("/", "https://elsewhere.example/", fields, {})
        # Django looks at the sender only where the server says that the connection is secure.
        assert page.status == (403 if site.address.startswith("https:") else 200)


def test_migrations_are_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=EXAMPLES / "django",
        env=environment(NOTES_DATA=str(tmp_path)),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
