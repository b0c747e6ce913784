"""How toolboxes get into sandboxes on this cluster, if the configuration leaves the choice to the operator."""

import re
from typing import Any

import structlog

from caisson.config.model import Config, ToolboxDelivery
from caisson.handlers.startup import retry_until_answered
from caisson.kube.client import KubeClient
from caisson.model.errors import CaissonError
from caisson.timing import MAX_LOGGED_VERSION_LENGTH

log = structlog.get_logger(__name__)

_IMAGE_VOLUMES_SINCE = (1, 35)
"""The first version of Kubernetes that enables image volumes by default (KEP-4639)."""

_GIT_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\D|$)", re.ASCII)
_NUMBER = re.compile(r"(\d+)\D*", re.ASCII)


async def resolve_delivery(config: Config, kube: KubeClient) -> Config:
    """Return the configuration with a delivery other than Auto. Retries until the API server answers.

    If the answer contains no version, the delivery is Copy, which works in every version.
    """
    if config.toolbox_delivery is not ToolboxDelivery.AUTO:
        return config
    answer = await retry_until_answered(kube.version, CaissonError, "API server's version not read")
    version = read_version(answer)
    if version is None:
        delivery = ToolboxDelivery.COPY
        log.warning(
            "the API server's version can't be read: the toolbox is copied into each sandbox",
            delivery=delivery.value,
            answer={
                name: str(answer.get(name))[:MAX_LOGGED_VERSION_LENGTH] for name in ("major", "minor", "gitVersion")
            },
            hint="set config.toolboxDelivery to ImageVolume if the cluster has image volumes, otherwise to Copy",
        )
    else:
        delivery = ToolboxDelivery.IMAGE_VOLUME if version >= _IMAGE_VOLUMES_SINCE else ToolboxDelivery.COPY
        log.info("toolbox delivery chosen", delivery=delivery.value, version=f"{version[0]}.{version[1]}")
    return config.model_copy(update={"toolbox_delivery": delivery})


def read_version(answer: dict[str, Any]) -> tuple[int, int] | None:
    """Return major and minor version from an answer of `/version`; None if it contains none.

    Distributions add suffixes to `minor` ("30+", "30-gke") or leave it empty; then `gitVersion` has the numbers.
    """
    parts = [_NUMBER.fullmatch(str(answer.get(name, ""))) for name in ("major", "minor")]
    if parts[0] is not None and parts[1] is not None:
        return int(parts[0][1]), int(parts[1][1])
    git_version = _GIT_VERSION.match(str(answer.get("gitVersion", "")))
    return (int(git_version[1]), int(git_version[2])) if git_version is not None else None
