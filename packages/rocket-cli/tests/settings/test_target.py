from __future__ import annotations

from pathlib import Path

import pytest

from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("app", Target("app")),
        ("app:app", Target("app", "app")),
        ("site.wsgi:application", Target("site.wsgi", "application")),
        ("app:site.wsgi_app", Target("app", "site.wsgi_app")),
        ("app:create_app()", Target("app", "create_app", factory=True)),
        ("app:Site.make()", Target("app", "Site.make", factory=True)),
    ],
)
def test_target_and_back(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text", ["", ":app", "app:", "app:()", "app:app:app", "my-app:app", "app:a b", "app:a..b", "a."]
)
def test_no_names(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_target(text)
    assert f"cannot serve {text!r}: use MODULE:APP" in str(caught.value)


@pytest.mark.parametrize("text", ["app:create_app('test')", "app:create_app(debug=True)", "app:a("])
def test_factory_with_arguments(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_target(text)
    assert repr(text) in str(caught.value)
    assert "without arguments" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("app.py", "use app"),
        ("app.py:app", "use app:app"),
        ("pkg/app.py:app", "use pkg.app:app"),
        ("./pkg/app:app", "use pkg.app:app"),
        ("../app.py:create_app()", "use app:create_app(), in the directory .."),
        ("/srv/site/app.py", "use app, in the directory /srv/site"),
    ],
)
def test_file_instead_of_a_module(text: str, right: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_target(text)
    assert str(caught.value).startswith(repr(text.partition(":")[0]))
    assert str(caught.value).endswith(right)


def test_absolute_path_in_the_current_directory(project: Path) -> None:
    with pytest.raises(CommandError, match=r"use pkg\.app:app$"):
        parse_target(f"{project}/pkg/app.py:app")
