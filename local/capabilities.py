"""Which Linux capabilities this process has."""

from pathlib import Path

SYS_RESOURCE = 24  # the number of CAP_SYS_RESOURCE in linux/capability.h


def has_capability(number: int, status: str | None = None) -> bool:
    """Whether a capability is effective, from the text of `/proc/self/status` unless another is given."""
    text = Path("/proc/self/status").read_text() if status is None else status
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)


def can_lower_oom_score() -> bool:
    """Whether processes may be protected from the OOM killer, as containerd and the gVisor shim want to."""
    return has_capability(SYS_RESOURCE)
