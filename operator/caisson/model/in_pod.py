"""The commands that run in every pod, with or without Docker, and where the toolbox is mounted."""

TOOLBOX_PATH = "/opt/caisson"

_BUSYBOX = f"{TOOLBOX_PATH}/bin/busybox"


def in_pod_command(name: str, *arguments: str) -> list[str]:
    """Return the argument vector of a script of the toolbox. Nothing of the image plays a part in it."""
    return [_BUSYBOX, "sh", f"{TOOLBOX_PATH}/libexec/{name}", *arguments]


def verify_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that looks at the kernel, and does nothing else."""
    return in_pod_command("sandbox", "verify", "--pod-uid", pod_uid)


def idle_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that asks for how long nobody has made use of a sandbox."""
    return in_pod_command("sandbox", "idle", "--pod-uid", pod_uid)
