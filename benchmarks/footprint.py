"""Measure the resources of idle sandboxes, compared with plain gVisor pods, and of the operator and the machine."""

import json
import statistics
import time
from pathlib import Path

from benchmarks import plots
from benchmarks.cluster import (
    IMAGE,
    NAMESPACE,
    Json,
    Usage,
    kubectl,
    namespaces,
    operator_pid,
    pod_usage,
    process_usage,
    sandbox,
)
from benchmarks.figures import save, table

_SETTLE_SECONDS = 45
_FLOOR = "plain gVisor pod"
_MIB = 1024 * 1024


def run(output: Path, many: int, few: int, seconds: int) -> None:
    """Measure `many` sandboxes with Docker and `few` others, print, and write footprint.json and footprint.png."""
    kinds = {
        _FLOOR: [_pod(f"footprint-plain-{n}") for n in range(few)],
        "Sandbox without Docker": [sandbox(f"footprint-no-docker-{n}", docker={"enabled": False}) for n in range(few)],
        "Sandbox with Docker": [sandbox(f"footprint-docker-{n}") for n in range(many)],
    }
    with namespaces(NAMESPACE):
        around = {"none": _usage_around([], seconds)[0]}
        for manifests in kinds.values():
            kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
        for kind in ("pod", "sbx"):
            kubectl("wait", "--for=condition=Ready", kind, "--all", "--timeout=600s")
        pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
        uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}
        names = [manifest["metadata"]["name"] for manifests in kinds.values() for manifest in manifests]
        with_all, usages = _usage_around([uids[name] for name in names], seconds)
        around[f"{many} + {few} + {few}"] = with_all
    by_name = dict(zip(names, usages, strict=True))
    each = {kind: [by_name[manifest["metadata"]["name"]] for manifest in ms] for kind, ms in kinds.items()}
    _print(each, around, seconds)
    rows = {
        kind: [{"memory": u.memory, "cores": u.cpu_seconds / seconds} for u in usages] for kind, usages in each.items()
    }
    save(output, "footprint", {"seconds": seconds, "each": rows, "around": around})
    memory = {kind: statistics.mean(u.memory for u in usages) / _MIB for kind, usages in each.items()}
    plots.bars(output / "footprint.png", "Memory of an idle sandbox", "MiB", memory)


def _pod(name: str) -> Json:
    container = {"name": "plain", "image": IMAGE, "command": ["sleep", "infinity"]}
    spec = {"runtimeClassName": "gvisor", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _usage_around(uids: list[str], seconds: int) -> tuple[dict[str, float], list[Usage]]:
    """Wait for the load to settle, then return the usage of the operator and the machine, and of each pod."""
    time.sleep(_SETTLE_SECONDS)
    operator = operator_pid()
    pods, process, machine = [pod_usage(uid) for uid in uids], process_usage(operator), _cpu_ticks()
    time.sleep(seconds)
    pods_after, process_after, machine_after = [pod_usage(uid) for uid in uids], process_usage(operator), _cpu_ticks()
    around = {
        "operatorMemory": process_after.memory,
        "operatorCores": (process_after.cpu_seconds - process.cpu_seconds) / seconds,
        "machineMemory": _used_memory(),
        "machineCpuShare": (machine_after[0] - machine[0]) / (machine_after[1] - machine[1]),
    }
    usages = [Usage(b.memory, b.cpu_seconds - a.cpu_seconds) for a, b in zip(pods, pods_after, strict=True)]
    return around, usages


def _cpu_ticks() -> tuple[int, int]:
    """Return the busy ticks and the total ticks of all cores (proc(5))."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _used_memory() -> int:
    """Return the memory of the machine that is not available to new processes, in bytes."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return (int(fields["MemTotal"].split()[0]) - int(fields["MemAvailable"].split()[0])) * 1024


def _print(each: dict[str, list[Usage]], around: dict[str, dict[str, float]], seconds: int) -> None:
    floor = statistics.mean(usage.memory for usage in each[_FLOOR])
    rows = []
    for kind, usages in each.items():
        memory, cpu = (statistics.mean(getattr(u, field) for u in usages) for field in ("memory", "cpu_seconds"))
        rows.append(
            [kind, str(len(usages)), f"{memory / _MIB:.0f}", f"{memory / floor:.2f}", f"{cpu / seconds * 1000:.1f}"]
        )
    print(f"\nfootprint: idle, means over {seconds} s")
    print(table(["", "n", "memory [MiB]", f"x {_FLOOR}", "CPU [millicores]"], rows))
    rows = [
        [
            f"with {count}",
            f"{figures['operatorMemory'] / _MIB:.0f}",
            f"{figures['operatorCores'] * 1000:.1f}",
            f"{figures['machineMemory'] / _MIB:.0f}",
            f"{figures['machineCpuShare']:.1%}",
        ]
        for count, figures in around.items()
    ]
    print(table(["", "operator [MiB]", "[millicores]", "machine [MiB]", "CPU of all cores"], rows))
