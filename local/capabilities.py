"""Check the Linux capabilities of this process."""

from pathlib import Path

SYS_RESOURCE = 24  # the number of CAP_SYS_RESOURCE in linux/capability.h


def has_capability(number: int, status: str | None = None) -> bool:
    """Return whether a capability is effective. `status` replaces the text of `/proc/self/status`."""
    text = Path("/proc/self/status").read_text() if status is None else status
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)


def can_lower_oom_score() -> bool:
    """Return whether this process may lower OOM scores, as containerd and the gVisor shim do for themselves."""
    return has_capability(SYS_RESOURCE)
