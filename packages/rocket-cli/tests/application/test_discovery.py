from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import HELLO, Write
from rocket_cli._application.discovery import Found, discover
from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target


@pytest.mark.parametrize("module", ["app", "wsgi", "main"])
@pytest.mark.parametrize("name", ["application", "app"])
def test_usual_names(project: Path, write: Write, module: str, name: str) -> None:
    write(f"{module}.py", HELLO.format(name))
    assert discover(project) == Found("application", Target(module, name))


@pytest.mark.parametrize("factory", ["create_app", "make_app"])
def test_factory(project: Path, write: Write, factory: str) -> None:
    write("app.py", f"def {factory}(): ...")
    assert discover(project) == Found("application", Target("app", factory, factory=True))


@pytest.mark.parametrize(
    "source",
    [
        "from other import app",
        "import other as app",
        "try:\n    import other\nfinally:\n    app = None",
        "app: object = None",
        "with open(__file__) as app: ...",
    ],
)
def test_every_way_to_bind_a_name(project: Path, write: Write, source: str) -> None:
    write("other.py", "app = None")
    write("app.py", source)
    assert discover(project) == Found("application", Target("app", "app"))


def test_application_before_factory(project: Path, write: Write) -> None:
    write("app.py", "def create_app(): ...\napp = create_app()")
    assert discover(project) == Found("application", Target("app", "app"))


def test_precedence_of_files(project: Path, write: Write) -> None:
    found = []
    write("manage.py", "")
    write("site_d/wsgi.py", "application = None")
    names = ["app", "wsgi", "site_d/wsgi", "main"]
    for name in names:
        write(f"{name}.py", "application = None")
    for name in names:
        result = discover(project)
        assert result is not None
        found.append(result.target.module)
        (project / f"{name}.py").unlink()
    assert found == ["app", "wsgi", "site_d.wsgi", "main"]
    assert discover(project) is None


def test_django_project(project: Path, write: Write) -> None:
    write("manage.py", "raise SystemExit('not to be run')")
    write("mysite/__init__.py", "")
    write("mysite/wsgi.py", "application = None")
    assert discover(project) == Found("Django project", Target("mysite.wsgi", "application"))


def test_package_with_wsgi_but_no_manage(project: Path, write: Write) -> None:
    write("mysite/wsgi.py", "application = None")
    assert discover(project) is None


def test_several_django_projects(project: Path, write: Write) -> None:
    write("manage.py", "")
    write("beta/wsgi.py", "application = None")
    write("alpha/wsgi.py", "application = None")
    with pytest.raises(
        CommandError, match=r"name one of them, alpha\.wsgi:application or beta\.wsgi:application$"
    ):
        discover(project)


def test_module_without_the_names_is_not_run(project: Path, write: Write) -> None:
    write("app.py", "def helper(app):\n    return app\nraise SystemExit('not to be run')")
    write("main.py", HELLO.format("app"))
    assert discover(project) == Found("application", Target("main", "app"))
    assert "app" not in sys.modules


def test_name_that_only_a_script_binds(project: Path, write: Write) -> None:
    write("app.py", "if __name__ == '__main__':\n    app = None")
    write("main.py", "app = None")
    assert discover(project) == Found("application", Target("main", "app"))


@pytest.mark.parametrize("source", ["app = 1 / 0", "def app(:", "app = '\0'"])
def test_module_that_fails_is_an_error(project: Path, write: Write, source: str) -> None:
    write("app.py", source)
    write("main.py", HELLO.format("app"))
    with pytest.raises(CommandError, match=r"^cannot import app: "):
        discover(project)


def test_source_in_an_encoding_of_its_own(project: Path) -> None:
    source = "# -*- coding: latin-1 -*-\ntext = 'é'\napp = None\n"
    Path(project, "app.py").write_text(source, encoding="latin-1")
    assert discover(project) == Found("application", Target("app", "app"))


def test_directory_without_an_application(project: Path) -> None:
    assert discover(project) is None
