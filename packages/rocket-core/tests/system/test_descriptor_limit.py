from __future__ import annotations

import resource

from rocket_core._system.descriptor_limit import default_max_connections


def test_default_maximum_of_connections_leaves_descriptors_free() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        assert default_max_connections() > 0
    else:
        assert 0 < default_max_connections() < soft
