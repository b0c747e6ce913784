"""The commands of exec sessions into every pod, with or without Docker."""

from caisson.model.pod_shape import InPodVerb, in_pod_command


def verify_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that looks at the kernel, and does nothing else."""
    return in_pod_command("sandbox", InPodVerb.VERIFY, "--pod-uid", pod_uid)


def idle_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that asks for how long nobody has made use of a sandbox."""
    return in_pod_command("sandbox", InPodVerb.IDLE, "--pod-uid", pod_uid)
