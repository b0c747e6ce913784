"""Fixtures for the tests of pools."""

import pytest

from tests.unit.operator.pools import PoolWorld


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld(replicas=1)
