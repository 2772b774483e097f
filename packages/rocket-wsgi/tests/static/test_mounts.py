from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rocket_wsgi import StaticFiles
from rocket_wsgi._static.mounts import Mounts


def test_the_longest_matching_prefix_wins(tmp_path: Path) -> None:
    names = ["/static", "/static/deep/", "/m\xfc"]
    files = {name: StaticFiles(tmp_path) for name in names}
    mounts = Mounts(files)

    def found(path: str) -> Any:
        mount = mounts.find(path)
        return mount and mount.files

    assert found("/static") is files["/static"]
    assert found("/static/x") is files["/static"]
    assert found("/static/deep") is files["/static/deep/"]
    assert found("/static/deep/x") is files["/static/deep/"]
    assert found("/static/deeper") is files["/static"]
    assert found("/m\xc3\xbc/x") is files["/m\xfc"]
    for path in ("/", "/statics", "/x/static/", "*", "/stati"):
        assert found(path) is None


def test_all_paths(tmp_path: Path) -> None:
    mounts = Mounts({"/": StaticFiles(tmp_path), "/x": StaticFiles(tmp_path)})
    found = mounts.find("/y")
    assert found is not None
    assert found.prefix == ""
    found = mounts.find("/x/y")
    assert found is not None
    assert found.prefix == "/x"
    assert mounts.find("*") is None


@pytest.mark.parametrize("path", ["", "static", "//", "/a//b", "/../a", "/.hidden", "/a/./b"])
def test_invalid_paths(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="'/static'"):
        Mounts({path: StaticFiles(tmp_path)})


def test_only_static_files_can_be_mounted(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="needs a StaticFiles object"):
        Mounts({"/static": tmp_path})  # type: ignore[dict-item]
