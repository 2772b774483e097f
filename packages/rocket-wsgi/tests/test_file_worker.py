from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Serve
from rocket_wsgi import FileWorker, StaticFiles, WSGIWorker


def test_only_static_files_can_be_served(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="needs a StaticFiles object"):
        FileWorker(tmp_path)  # type: ignore[arg-type]


def test_every_path_belongs_to_the_files(serve: Serve, tmp_path: Path) -> None:
    worker = FileWorker(StaticFiles(tmp_path))
    client = serve(worker._application, static={"/": StaticFiles(tmp_path)})
    assert isinstance(worker, WSGIWorker)
    for path in ("/", "/x", "//", "/%2f", "http://a/", "http://a"):
        assert client.get(path).status == 404
    answer = client.get("*", "OPTIONS")
    assert (answer.status, answer["Allow"]) == (204, "GET, HEAD, OPTIONS")
