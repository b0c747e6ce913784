"""The commands of the in-pod scripts (`toolbox/libexec`) for Docker, and the flags of dockerd."""

from caisson.api.resources import Sandbox
from caisson.api.spec.docker import DockerSource, Profile
from caisson.api.spec.storage import StorageType
from caisson.config.model import Config
from caisson.docker.address_pools import pool_for
from caisson.docker.requirements import required_features
from caisson.docker.versions import toolbox_of
from caisson.limits.defaults import memory_storage_bytes
from caisson.model.pod_shape import InPodVerb, in_pod_command
from caisson.model.pod_snapshot import PodSnapshot
from caisson.timing import (
    DEFAULT_GRACE_SECONDS,
    DOCKERD_STOP_SHARE_SECONDS,
    KUBELET_STOP_SHARE_SECONDS,
    SESSION_SECONDS,
)

_SUBNET_PREFIX = 24


def preload_command(pod_uid: str, images: tuple[str, ...]) -> list[str]:
    """Return the argument vector of the exec session that pulls images."""
    wait = ("--wait", str(SESSION_SECONDS))
    return in_pod_command("sandbox", InPodVerb.PRELOAD, "--pod-uid", pod_uid, *wait, "--", *images)


def stop_command(sandbox: Sandbox) -> list[str]:
    """Return the argument vector of the preStop hook, which stops dockerd and its containers."""
    grace = sandbox.spec.termination_grace_period_seconds
    return in_pod_command("stop", str(max(1, grace - KUBELET_STOP_SHARE_SECONDS)))


def start_command(sandbox: Sandbox, config: Config, pod: PodSnapshot, attempt: int) -> list[str]:
    """Return the argument vector of the exec session that starts dockerd, or that continues a start."""
    docker = sandbox.spec.docker
    options = ["--pod-uid", pod.uid, "--attempt", str(attempt), "--timeout", str(docker.start_timeout_seconds)]
    options += ["--profile", docker.profile.value, "--from", docker.from_.value, "--wait", str(SESSION_SECONDS)]
    # Pass no option that has its default value: a pod may have an older toolbox, which does not know the option.
    if not docker.pod_log:
        options += ["--pod-log", "no"]
    if sandbox.spec.lifetime.idle_seconds is not None:
        options += ["--idle", "yes"]
    if docker.profile is Profile.BARE:
        return in_pod_command("sandbox", InPodVerb.START, *options, "--", *docker.flags)
    if docker.storage.type is StorageType.MEMORY:
        options += ["--tmpfs", str(memory_storage_bytes(sandbox.spec, config))]
    if docker.from_ is DockerSource.TOOLBOX and (needs := required_features(toolbox_of(sandbox.spec, config).version)):
        options += ["--needs", ",".join(needs)]
    return in_pod_command("sandbox", InPodVerb.START, *options, "--", *_flags(sandbox, config, pod), *docker.flags)


def _flags(sandbox: Sandbox, config: Config, pod: PodSnapshot) -> list[str]:
    """Return the flags before the user's own. dockerd rejects a flag that the image's daemon.json sets, too."""
    docker = sandbox.spec.docker
    mirrors = (*docker.registry.mirrors, *config.sandboxes.registry_mirrors)
    flags = [f"--registry-mirror={mirror}" for mirror in mirrors]
    flags += [f"--insecure-registry={registry}" for registry in docker.registry.insecure]
    pool = pool_for(config.sandboxes.reserved_ranges, (pod.ip, pod.host_ip))
    if pool is not None and not _is_given(docker.flags, "--default-address-pool"):
        flags.append(f"--default-address-pool=base={pool},size={_SUBNET_PREFIX}")
    grace = sandbox.spec.termination_grace_period_seconds
    # The default of dockerd is 15 seconds, which fits into the default grace period.
    if grace != DEFAULT_GRACE_SECONDS and not _is_given(docker.flags, "--shutdown-timeout"):
        flags.append(f"--shutdown-timeout={max(1, grace - DOCKERD_STOP_SHARE_SECONDS)}")
    return flags


def _is_given(flags: tuple[str, ...], name: str) -> bool:
    return any(flag == name or flag.startswith(f"{name}=") for flag in flags)
