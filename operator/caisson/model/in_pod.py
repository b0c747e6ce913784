"""The commands of exec sessions into every pod, with or without Docker."""

from caisson.model.pod_shape import InPodVerb, in_pod_command


def verify_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that only verifies the kernel."""
    return in_pod_command("sandbox", InPodVerb.VERIFY, "--pod-uid", pod_uid)


def idle_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that queries how long a sandbox has been idle."""
    return in_pod_command("sandbox", InPodVerb.IDLE, "--pod-uid", pod_uid)
