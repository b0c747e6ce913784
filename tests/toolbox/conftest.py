import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toolbox.fakepod import FakePod, running_pod


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[FakePod]:
    if os.geteuid() != 0:
        pytest.skip("creating namespaces requires root")
    with running_pod(tmp_path / "root") as running:
        yield running
