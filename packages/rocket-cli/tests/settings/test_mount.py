from __future__ import annotations

import pytest

from rocket_cli._settings.mount import Mount, parse_mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("public", Mount("/", "public")),
        ("/srv/public", Mount("/", "/srv/public")),
        ("/static=build/static", Mount("/static", "build/static")),
        ("/static/=/srv/static", Mount("/static", "/srv/static")),
        ("/=/srv/a=b", Mount("/", "/srv/a=b")),
        ("a=b", Mount("/", "a=b")),
    ],
)
def test_mount(text: str, mount: Mount) -> None:
    assert parse_mount(text) == mount
    assert parse_mount(str(mount)) == mount


@pytest.mark.parametrize("text", ["", "/static="])
def test_no_directory(text: str) -> None:
    with pytest.raises(ValueError, match="/PATH=DIR"):
        parse_mount(text)
