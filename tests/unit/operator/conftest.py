"""Options of the operator's unit tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what rewrites the golden files."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")
