"""How a stored status is read and compared."""

from typing import Any

import pytest

from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.controllers.status_writer import readable_status, stored_status

Json = dict[str, Any]


@pytest.mark.parametrize("generation", [3, 0, -1, True, "3", 1.5, None], ids=repr)
def test_the_generation_in_an_unreadable_status_is_read(generation: object) -> None:
    raw: Json = {"status": {"conditions": 4711, "observedGeneration": generation}}
    is_valid = generation in (3, 0) and not isinstance(generation, bool)
    for model in (SandboxStatus, SandboxPoolStatus):
        status = readable_status(model, raw)
        assert status == model(observed_generation=generation if is_valid else None)
        assert stored_status(raw, status) == raw["status"]
