"""What the operator reports about itself."""

from dataclasses import dataclass, field

from caisson.telemetry.health import Health
from caisson.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Telemetry:
    """The metrics and the health of one operator."""

    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)
