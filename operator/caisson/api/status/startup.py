"""The timeline of the startup of a pod."""

from caisson.api.types import ApiModel, MicroTime


class Startup(ApiModel):
    """Timeline of the first start in the current pod. Each time ends one phase and begins the next.

    The times are in order. A time is not set if it has not been reached or was not observed. Times that the operator
    observed are exact; if it restarted in between, they come from the pod, in whole seconds.
    """

    pod_created_at: MicroTime | None = None
    """Time at which the pod was created."""

    scheduled_at: MicroTime | None = None
    """Time at which the pod was assigned to a node."""

    running_at: MicroTime | None = None
    """Time at which the container was running, after image pull, volume mounts and the boot of gVisor's kernel."""

    script_answered_at: MicroTime | None = None
    """Time at which the in-pod script had reported its kernel. Its next step is the start of Docker."""

    docker_answered_at: MicroTime | None = None
    """Time of the first successful `docker info`. dockerd was started docker.readyAfterMilliseconds earlier."""

    ready_at: MicroTime | None = None
    """Time at which the Sandbox was reported Ready for the first time."""
