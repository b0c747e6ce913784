"""Options of the operator's unit tests."""

import pytest
from hypothesis import HealthCheck, settings

# Machines are noisy, and no test asserts a speed.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what rewrites the golden files."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")
