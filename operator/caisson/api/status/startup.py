"""When the start of a pod had come how far: the waterfall of its startup."""

from caisson.api.types import ApiModel, MicroTime


class Startup(ApiModel):
    """How the first start in the current pod went. Each moment ends a phase, and the next one begins there.

    They are in order, and one that is not set has not come yet, or nobody saw it. Moments that the operator saw itself
    are exact; where it was restarted in between, they are the pod's own, in whole seconds.
    """

    pod_created_at: MicroTime | None = None
    """The pod was made."""

    scheduled_at: MicroTime | None = None
    """The pod had a node."""

    running_at: MicroTime | None = None
    """The container ran: image, volumes and gVisor's own kernel were there."""

    script_answered_at: MicroTime | None = None
    """The in-pod script had told which kernel it runs on; its next step is to start Docker."""

    docker_answered_at: MicroTime | None = None
    """`docker info` had answered; docker.readyAfterMilliseconds before that, dockerd was started."""

    ready_at: MicroTime | None = None
    """The Sandbox was told to be Ready for the first time."""
