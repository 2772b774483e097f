"""What the system tests share: servers as subprocesses, and clients that behave like browsers."""

import pytest

pytest.register_assert_rewrite("systemtests.clients", "systemtests.notes", "systemtests.processes")
