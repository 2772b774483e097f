from __future__ import annotations

import resource

import pytest

from rocket_core._system.descriptor_limit import default_max_connections


def test_default_maximum_of_connections_leaves_descriptors_free() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        assert default_max_connections() > 0
    else:
        assert 0 < default_max_connections() < soft


@pytest.mark.parametrize(
    ("soft", "most"),
    [
        (256, 64),
        (1024, 448),
        (20_000, 9936),
        (20_128, 10_000),  # what 10,000 parked connections need, though each holds one descriptor
        (65_536, 32_704),
        (resource.RLIM_INFINITY, 1 << 20),
    ],
)
def test_half_of_the_descriptors_are_for_bodies_in_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert default_max_connections() == most
