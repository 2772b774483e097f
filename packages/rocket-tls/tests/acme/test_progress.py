from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rocket_tls._acme.progress import Progress, load_progress, store_progress

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_stored_progress_is_loaded(tmp_path: Path) -> None:
    progress = Progress("for", "ab12", "https://authority", NOW, None, 2, "why", NOW)
    store_progress(tmp_path / "progress.json", progress)
    assert load_progress(tmp_path / "progress.json") == progress


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"other": 1}', '{"retry": 1}', "\0"])
def test_an_invalid_file_is_an_empty_progress(tmp_path: Path, content: str) -> None:
    (tmp_path / "progress.json").write_text(content)
    assert load_progress(tmp_path / "progress.json") == Progress()


def test_pauses_grow_and_keep_within_the_limit_of_failures_in_an_hour() -> None:
    progress, times = Progress(), [NOW]
    while times[-1] < NOW + timedelta(days=2):
        progress = progress.failed("why", times[-1], 0.0, None)
        assert progress.retry is not None
        times.append(progress.retry)
    assert len([each for each in times if each < NOW + timedelta(hours=1)]) == 5
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:3] == [timedelta(minutes=3), timedelta(minutes=6), timedelta(minutes=12)]
    assert max(pauses) == timedelta(hours=6)
    assert progress.failures == len(pauses)


def test_pauses_are_random_within_a_tenth() -> None:
    assert Progress().failed("why", NOW, 1.0, None).retry == NOW + timedelta(minutes=3, seconds=18)


@pytest.mark.parametrize(
    ("asked_for", "kept"),
    [
        (timedelta(hours=-1), timedelta(minutes=3)),
        (timedelta(seconds=1), timedelta(minutes=3)),
        (timedelta(days=7), timedelta(days=7)),
        (timedelta(days=700), timedelta(days=8)),
    ],
)
def test_an_authority_may_ask_for_a_longer_pause(asked_for: timedelta, kept: timedelta) -> None:
    assert Progress().failed("why", NOW, 0.0, asked_for).retry == NOW + kept
