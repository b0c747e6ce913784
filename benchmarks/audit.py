"""What the operator asked of the API server, by the API server's own audit log."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cluster import PATHS, Json

_ACCOUNT = "system:serviceaccount:caisson-system:caisson"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_BESIDE = ("list ", "watch ", "leases", "dry run")
"""What is not about one Sandbox."""


def requests(begin: datetime, end: datetime, logs: Path = PATHS.logs) -> Counter[str]:
    """Count what was asked between two moments, by verb and resource."""
    found: dict[str, str] = {}
    for file in logs.glob("audit*.log"):
        with file.open() as lines:
            for line in lines:
                event = json.loads(line)
                if event["user"]["username"] != _ACCOUNT or "objectRef" not in event:
                    continue
                if begin <= datetime.fromisoformat(event["requestReceivedTimestamp"]) < end:
                    found[event["auditID"]] = _kind(event)
    return Counter(found.values())


def per_sandbox(found: Counter[str]) -> Counter[str]:
    """Leave out what is not about one Sandbox: lists and watches, leases, asking the admission policies."""
    return Counter({kind: count for kind, count in found.items() if not any(word in kind for word in _BESIDE)})


def writes(found: Counter[str]) -> Counter[str]:
    """Leave only what wrote, but for the lease of the leader, which is written to say that it lives."""
    return Counter({kind: n for kind, n in per_sandbox(found).items() if kind.split()[0] in _WRITES})


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def _kind(event: Json) -> str:
    ref = event["objectRef"]
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    return f"{event['verb']} {resource}" + (" (dry run)" if "dryRun=" in event["requestURI"] else "")
