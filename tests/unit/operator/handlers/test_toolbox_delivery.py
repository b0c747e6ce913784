"""How toolboxes get into sandboxes on this cluster."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from caisson.config.model import Config, ToolboxDelivery
from caisson.handlers.toolbox_delivery import resolve_delivery
from caisson.kube.errors import KubeUnreachable
from tests.unit.operator.builders import CONFIG

Json = dict[str, Any]


class _Version:
    """An API server that answers with its version, after some failures."""

    def __init__(self, *answers: Json | Exception) -> None:
        self.answers = list(answers)

    async def version(self) -> Json:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"major": "1", "minor": "34"}, ToolboxDelivery.COPY),
        ({"major": "1", "minor": "35"}, ToolboxDelivery.IMAGE_VOLUME),
        ({"major": "2", "minor": "0"}, ToolboxDelivery.IMAGE_VOLUME),
        ({"major": "1", "minor": "35+"}, ToolboxDelivery.IMAGE_VOLUME),
        ({"major": "1", "minor": "35-gke"}, ToolboxDelivery.IMAGE_VOLUME),
        ({"major": "1", "minor": "", "gitVersion": "v1.36.1+k3s1"}, ToolboxDelivery.IMAGE_VOLUME),
        ({"major": "1", "minor": "v30-gke", "gitVersion": "v1.30.2-gke.1"}, ToolboxDelivery.COPY),
    ],
    ids=str,
)
async def test_the_delivery_follows_the_version_of_the_cluster(answer: Json, expected: ToolboxDelivery) -> None:
    config = Config(toolboxes=CONFIG.toolboxes)
    result = await resolve_delivery(config, _Version(KubeUnreachable("not yet"), answer))  # type: ignore[arg-type]
    assert result.toolbox_delivery is expected


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"major": "1", "minor": ""},
        {"major": "1", "minor": "v30-gke"},
        {"major": 1, "minor": None, "gitVersion": "unknown"},
        {"major": "1", "minor": ["35"]},
    ],
    ids=str,
)
async def test_without_a_readable_version_the_toolbox_is_copied(answer: Json) -> None:
    config = Config(toolboxes=CONFIG.toolboxes)
    with capture_logs() as logs:
        result = await resolve_delivery(config, _Version(answer))  # type: ignore[arg-type]
    assert result.toolbox_delivery is ToolboxDelivery.COPY
    [entry] = logs
    assert entry["log_level"] == "warning"
    assert "config.toolboxDelivery" in entry["hint"]


async def test_a_delivery_that_the_administrator_chose_is_not_asked_for() -> None:
    copied = CONFIG.model_copy(update={"toolbox_delivery": ToolboxDelivery.COPY})
    assert await resolve_delivery(copied, _Version()) is copied  # type: ignore[arg-type]
