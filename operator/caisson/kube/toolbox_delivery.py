"""How toolboxes get into sandboxes on this cluster, where the administrator leaves it to us."""

import asyncio

import structlog

from caisson.config.model import Config, ToolboxDelivery
from caisson.kube.client import KubeClient
from caisson.model.errors import CaissonError
from caisson.timing import VERSION_RETRY_CEILING_SECONDS
from caisson.util.backoff import exponential

log = structlog.get_logger(__name__)

_IMAGE_VOLUMES_SINCE = (1, 35)
"""From when on Kubernetes has image volumes switched on (KEP-4639)."""


async def resolve_delivery(config: Config, kube: KubeClient) -> Config:
    """Return the configuration with a delivery that is not Auto. Asks until the API server answers."""
    if config.toolbox_delivery is not ToolboxDelivery.AUTO:
        return config
    failures = 0
    while True:
        try:
            version = await kube.version()
        except (CaissonError, KeyError, ValueError, AttributeError) as error:
            failures += 1
            pause = exponential(failures, ceiling=VERSION_RETRY_CEILING_SECONDS).total_seconds()
            log.warning("the cluster's version is not known", error=str(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
        else:
            has_image_volumes = version >= _IMAGE_VOLUMES_SINCE
            delivery = ToolboxDelivery.IMAGE_VOLUME if has_image_volumes else ToolboxDelivery.COPY
            log.info("toolbox delivery chosen", delivery=delivery.value, version=f"{version[0]}.{version[1]}")
            return config.model_copy(update={"toolbox_delivery": delivery})
