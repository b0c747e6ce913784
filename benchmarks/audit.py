"""Count the operator's requests to the API server, by the audit log of the API server."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cluster import PATHS, Json

_ACCOUNT = "system:serviceaccount:caisson-system:caisson"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_SHARED_REQUESTS = ("list ", "watch ", "leases", "dry run")
"""Words in the requests that do not concern a single Sandbox."""


def requests(begin: datetime, end: datetime, logs: Path = PATHS.logs) -> Counter[str]:
    """Count the requests between `begin` and `end`, by verb and resource."""
    kinds: dict[str, str] = {}
    for file in logs.glob("audit*.log"):
        with file.open() as lines:
            for line in lines:
                event = json.loads(line)
                if event["user"]["username"] != _ACCOUNT or "objectRef" not in event:
                    continue
                if begin <= datetime.fromisoformat(event["requestReceivedTimestamp"]) < end:
                    kinds[event["auditID"]] = _kind(event)
    return Counter(kinds.values())


def per_sandbox(counts: Counter[str]) -> Counter[str]:
    """Return the requests that concern a single Sandbox: no lists, watches, leases or dry runs."""
    return Counter({kind: n for kind, n in counts.items() if not any(word in kind for word in _SHARED_REQUESTS)})


def writes(counts: Counter[str]) -> Counter[str]:
    """Return the writes, except for the periodic renewal of the leader's lease."""
    return Counter({kind: n for kind, n in per_sandbox(counts).items() if kind.split()[0] in _WRITES})


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def _kind(event: Json) -> str:
    ref = event["objectRef"]
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    return f"{event['verb']} {resource}" + (" (dry run)" if "dryRun=" in event["requestURI"] else "")
