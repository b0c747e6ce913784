"""How toolboxes get into sandboxes on this cluster."""

import pytest

from caisson.config.model import Config, ToolboxDelivery
from caisson.kube.errors import KubeUnreachable
from caisson.kube.toolbox_delivery import resolve_delivery
from tests.unit.operator.builders import CONFIG


class _Version:
    """An API server that answers with its version, after some failures."""

    def __init__(self, *answers: tuple[int, int] | Exception) -> None:
        self.answers = list(answers)

    async def version(self) -> tuple[int, int]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("version", "expected"),
    [((1, 34), ToolboxDelivery.COPY), ((1, 35), ToolboxDelivery.IMAGE_VOLUME), ((2, 0), ToolboxDelivery.IMAGE_VOLUME)],
)
async def test_the_delivery_is_what_the_cluster_has(version: tuple[int, int], expected: ToolboxDelivery) -> None:
    config = Config(toolboxes=CONFIG.toolboxes)
    result = await resolve_delivery(config, _Version(KubeUnreachable("not yet"), version))  # type: ignore[arg-type]
    assert result.toolbox_delivery is expected


async def test_a_delivery_that_the_administrator_chose_is_not_asked_for() -> None:
    copied = CONFIG.model_copy(update={"toolbox_delivery": ToolboxDelivery.COPY})
    assert await resolve_delivery(copied, _Version()) is copied  # type: ignore[arg-type]
