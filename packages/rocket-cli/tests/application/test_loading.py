from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from conftest import HELLO, Write
from rocket_cli._application.loading import load
from rocket_cli._errors import CommandError
from rocket_cli._settings.target import parse_target

pytestmark = pytest.mark.usefixtures("project")


def answer(text: str) -> bytes:
    """Load the application named ``text``; return its response to a request."""
    environ: dict[str, object] = {}
    setup_testing_defaults(environ)

    def start_response(*_: object) -> Callable[[bytes], object]:
        return len

    return b"".join(load(parse_target(text))(environ, start_response))


def refusal(text: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        load(parse_target(text))
    return caught.value


def test_attribute(write: Write) -> None:
    write("site_a.py", HELLO.format("main"))
    assert answer("site_a:main") == b"hello"


def test_module_of_a_package(write: Write) -> None:
    write("pkg/__init__.py", "")
    write("pkg/web.py", HELLO.format("main"))
    assert answer("pkg.web:main") == b"hello"


def test_attribute_of_an_attribute(write: Write) -> None:
    write("site_b.py", "class site:\n    @staticmethod" + HELLO.format("wsgi"))
    assert answer("site_b:site.wsgi") == b"hello"


def test_bare_module_means_application_then_app(write: Write) -> None:
    write("both.py", HELLO.format("application") + "    app = 1\n")
    write("one.py", HELLO.format("app"))
    assert answer("both") == b"hello"
    assert answer("one") == b"hello"


def test_factory(write: Write) -> None:
    write("made.py", HELLO.format("_app") + "    def create_app():\n        return _app\n")
    assert answer("made:create_app()") == b"hello"


def test_class_whose_instances_are_responses(write: Write) -> None:
    source = """
        class App:
            def __init__(self, environ, start_response):
                start_response("200 OK", [])
            def __iter__(self):
                yield b"one by one"
    """
    write("classy.py", source)
    assert answer("classy:App") == b"one by one"


def test_wrapped_function_may_have_other_parameters(write: Write) -> None:
    source = """
        import functools
        def responder(view):
            @functools.wraps(view)
            def application(environ, start_response):
                start_response("200 OK", [])
                return [view(environ)]
            return application
        @responder
        def app(request):
            return b"wrapped"
    """
    write("wrapped.py", source)
    assert answer("wrapped:app") == b"wrapped"


def test_module_that_is_not_there(project: Path, write: Write) -> None:
    write("website.py", HELLO.format("app"))
    error = refusal("web_site:app")
    assert str(error) == (
        f"no module 'web_site' in {project} or among the installed packages; "
        "did you mean 'website'?"
    )
    assert isinstance(error.__cause__, ModuleNotFoundError)


def test_module_of_a_package_that_is_not_there(write: Write) -> None:
    write("pkg/__init__.py", "")
    assert str(refusal("pkg.web:app")).startswith("no module 'pkg.web' in ")


def test_module_that_needs_another(write: Write) -> None:
    path = write("needy.py", "\nimport a_missing_package\n")
    assert str(refusal("needy:app")) == (
        f"cannot import needy: ModuleNotFoundError: No module named 'a_missing_package' ({path}:2)"
    )


def test_syntax_error(write: Write) -> None:
    path = write("unfinished.py", "one = 1\ndef app(:\n")
    message = str(refusal("unfinished:app"))
    assert message.startswith("cannot import unfinished: SyntaxError: ")
    assert message.endswith(f"({path}:2)")


def test_exception_names_the_innermost_line(write: Write) -> None:
    path = write("deep.py", "def connect():\n    raise RuntimeError('no database\\nthere')\n")
    write("outer.py", "import deep\ndeep.connect()\n")
    message = str(refusal("outer:app"))
    assert message == f"cannot import outer: RuntimeError: no database there ({path}:2)"


def test_module_that_exits(write: Write) -> None:
    path = write("leaving.py", "import sys\nsys.exit()\n")
    assert str(refusal("leaving")) == f"cannot import leaving: SystemExit ({path}:2)"


def test_misspelt_attribute(write: Write) -> None:
    write("named.py", "aplication = wsgi_app = None")
    assert str(refusal("named:application")) == (
        "cannot load named:application: module named has no attribute 'application'; "
        "did you mean 'aplication'?"
    )


def test_attribute_with_no_near_name(write: Write) -> None:
    write("named.py", "aplication = None")
    assert str(refusal("named:zzz")).endswith(
        "no attribute 'zzz'; name the application, as named:NAME"
    )


def test_attribute_of_an_attribute_that_is_not_there(write: Write) -> None:
    write("named.py", "class Site:\n    main = None\nsite = Site()")
    assert str(refusal("named:site.mian")) == (
        "cannot load named:site.mian: Site has no attribute 'mian'; did you mean 'main'?"
    )


def test_attribute_that_fails(write: Write) -> None:
    path = write("lazy.py", "def __getattr__(name):\n    raise LookupError(name)\n")
    assert str(refusal("lazy:app")) == f"cannot load lazy:app: LookupError: app ({path}:2)"


def test_not_callable(write: Write) -> None:
    write("data.py", "number = 1\ndef create_app():\n    return 'text'")
    assert "data:number is not callable but of type int" in str(refusal("data:number"))
    assert "data:number() is not callable but of type int" in str(refusal("data:number()"))
    assert "data:create_app() is not callable but of type str" in str(refusal("data:create_app()"))


def test_factory_without_parentheses(write: Write) -> None:
    write("made.py", "def create_app():\n    return None")
    message = str(refusal("made:create_app"))
    assert "made:create_app is not a WSGI application" in message
    assert message.endswith("made:create_app()")


def test_asgi_application(write: Write) -> None:
    write("other.py", "async def app(scope, receive, send): ...")
    assert "other:app is not a WSGI application" in str(refusal("other"))


def test_factory_that_fails(write: Write) -> None:
    path = write("made.py", "def create_app():\n    return 1 / 0\n")
    assert str(refusal("made:create_app()")) == (
        f"made:create_app() failed: ZeroDivisionError: division by zero ({path}:2)"
    )


def test_factory_that_wants_arguments(write: Write) -> None:
    write("made.py", "def create_app(config):\n    return None\n")
    message = str(refusal("made:create_app()"))
    assert message.startswith("made:create_app() failed: TypeError: ")
    assert re.search(r"'config'$", message)


def test_bare_module_without_application(write: Write) -> None:
    write("empty.py", "")
    assert str(refusal("empty")) == (
        "module empty has neither application nor app: name the application, as empty:NAME"
    )


def test_bare_module_with_a_factory(write: Write) -> None:
    write("made.py", "def make_app(): ...")
    assert str(refusal("made")).endswith("use made:make_app()")
