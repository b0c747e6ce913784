"""Options of the operator's unit tests."""

import pytest
from hypothesis import HealthCheck, settings

# The speed of machines varies, and no test asserts it.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that updates the golden files."""
    parser.addoption("--update-golden", action="store_true", help="update the golden files instead of comparing them")
