"""The command lines of the in-pod scripts (`toolbox/libexec`), and the flags with which dockerd is started by them."""

from caisson.api.docker import DockerSource, Profile
from caisson.api.sandbox import Sandbox
from caisson.api.storage import StorageType
from caisson.api.template import DEFAULT_GRACE_SECONDS
from caisson.config import Config
from caisson.core.addresses import pool_for
from caisson.core.allowance import memory_storage_bytes
from caisson.core.needs import required_features
from caisson.core.podview import PodSnapshot
from caisson.core.toolbox import TOOLBOX_PATH, toolbox_of

_BUSYBOX = f"{TOOLBOX_PATH}/bin/busybox"
_SUBNET_PREFIX = 24
KUBELET_STOP_SHARE_SECONDS = 2
DOCKERD_STOP_SHARE_SECONDS = 5
"""Of the pod's grace period: what is left for the container's own end, and for dockerd's after its containers'."""


def in_pod_command(name: str, *arguments: str) -> list[str]:
    """Return the argument vector of a script of the toolbox. Nothing of the image plays a part in it."""
    return [_BUSYBOX, "sh", f"{TOOLBOX_PATH}/libexec/{name}", *arguments]


def verify_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that looks at the kernel, and does nothing else."""
    return in_pod_command("sandbox", "verify", "--pod-uid", pod_uid)


def preload_command(pod_uid: str, images: tuple[str, ...]) -> list[str]:
    """Return the argument vector of the exec session that has Docker pull images."""
    return in_pod_command("sandbox", "preload", "--pod-uid", pod_uid, "--", *images)


def idle_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that asks for how long nobody has made use of a sandbox."""
    return in_pod_command("sandbox", "idle", "--pod-uid", pod_uid)


def stop_command(sandbox: Sandbox) -> list[str]:
    """Return the argument vector of the hook that ends dockerd, and its containers, before the pod ends."""
    grace = sandbox.spec.termination_grace_period_seconds
    return in_pod_command("stop", str(max(1, grace - KUBELET_STOP_SHARE_SECONDS)))


def start_command(sandbox: Sandbox, config: Config, pod: PodSnapshot, attempt: int) -> list[str]:
    """Return the argument vector of the exec session that starts dockerd, or goes on with a start."""
    docker = sandbox.spec.docker
    options = ["--pod-uid", pod.uid, "--attempt", str(attempt), "--timeout", str(docker.start_timeout_seconds)]
    options += ["--profile", docker.profile.value, "--from", docker.from_.value]
    # What a script takes by itself is not said: the toolbox of a pod, or of the administrator's, may be an older one.
    if not docker.pod_log:
        options += ["--pod-log", "no"]
    if sandbox.spec.lifetime.idle_seconds is not None:
        options += ["--idle", "yes"]
    if docker.profile is Profile.BARE:
        return in_pod_command("sandbox", "start", *options, "--", *docker.flags)
    if docker.storage.type is StorageType.MEMORY:
        options += ["--tmpfs", str(memory_storage_bytes(sandbox.spec, config))]
    if docker.from_ is DockerSource.TOOLBOX and (needs := required_features(toolbox_of(sandbox.spec, config).version)):
        options += ["--needs", ",".join(needs)]
    return in_pod_command("sandbox", "start", *options, "--", *_flags(sandbox, config, pod), *docker.flags)


def _flags(sandbox: Sandbox, config: Config, pod: PodSnapshot) -> list[str]:
    """The flags that go before the user's own. Only what is needed: an image's daemon.json may not say it as well."""
    docker = sandbox.spec.docker
    mirrors = (*docker.registry.mirrors, *config.sandboxes.registry_mirrors)
    flags = [f"--registry-mirror={mirror}" for mirror in mirrors]
    flags += [f"--insecure-registry={registry}" for registry in docker.registry.insecure]
    pool = pool_for(config.sandboxes.reserved_ranges, (pod.ip, pod.host_ip))
    if pool is not None and not _is_given(docker.flags, "--default-address-pool"):
        flags.append(f"--default-address-pool=base={pool},size={_SUBNET_PREFIX}")
    grace = sandbox.spec.termination_grace_period_seconds
    # dockerd gives its containers 15 seconds by itself, which fits into the usual grace period.
    if grace != DEFAULT_GRACE_SECONDS and not _is_given(docker.flags, "--shutdown-timeout"):
        flags.append(f"--shutdown-timeout={max(1, grace - DOCKERD_STOP_SHARE_SECONDS)}")
    return flags


def _is_given(flags: tuple[str, ...], name: str) -> bool:
    return any(flag == name or flag.startswith(f"{name}=") for flag in flags)
