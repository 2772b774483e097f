from __future__ import annotations

import hashlib
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from systemtests.certificates import Certificates
from systemtests.clients import CLIENTS, Client, HttpxClient
from systemtests.notes import UPLOAD_SIZE, Upload
from systemtests.processes import PLAIN, Server, assert_quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from systemtests.notes import Example


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.create(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Upload:
    content = random.Random(20).randbytes(UPLOAD_SIZE)
    path = tmp_path_factory.mktemp("upload") / "Größe & Maß.bin"
    path.write_bytes(content)
    return Upload(path, hashlib.sha256(content).hexdigest())


@pytest.fixture(scope="class", params=["http", "https", "validated"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Certificates,
) -> Iterator[Server]:
    """The example application of the test class, served for all its tests."""
    example: Example = request.cls.example
    binding = certificates.options if request.param == "https" else [*PLAIN, "--h2c"]
    options = [*binding, "--access-log", "-"]
    validated = request.param == "validated"
    with example.serve(tmp_path_factory.mktemp("data"), options, validated=validated) as server:
        yield server
    assert_quiet(server.log)


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.name)
def client(
    request: pytest.FixtureRequest, site: Server, certificates: Certificates, tmp_path: Path
) -> Iterator[Client]:
    """A visitor of the site."""
    with request.param(site.address, certificates.ca, tmp_path) as client:
        yield client


@pytest.fixture
def new_visitor(
    site: Server, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Client]]:
    """Make further visitors of the site."""
    with ExitStack() as visitors:

        def visit() -> Client:
            folder = tmp_path_factory.mktemp("visitor")
            return visitors.enter_context(HttpxClient(site.address, certificates.ca, folder))

        yield visit
