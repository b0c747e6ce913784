"""Measure each storage type of a sandbox: time until Ready, pull, build, run, and writing 500 MB, relative to Memory.

Storage types alternate, so that other load on the machine affects all of them equally. Images are pulled from a
registry in the cluster. Requires the local cluster, the operator and the tests' registry image (`make up`,
`python3 -m local operator install`, `python3 -m local images registry`).

    python -m benchmarks.storage [--rounds 3] [--version 26] [--output build/bench]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cluster import NAMESPACE, Json, apply_until_ready, kubectl, local, namespaces, wait_until_gone
from benchmarks.figures import OUTPUT, save, table

_REGISTRY_NAMESPACE = "bench-registry"
"""A separate namespace, because a namespace for sandboxes rejects ordinary pods."""
_CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "8Gi"}}
_STORAGES: dict[str, Json] = {
    "Memory": {"storage": {"type": "Memory", "memory": {"sizeLimit": "3Gi"}}},
    "Disk": {"storage": {"type": "Disk"}},
    "Claim": {"storage": _CLAIM},
    "vfs (Disk)": {"storage": {"type": "Disk"}, "flags": ["--storage-driver=vfs"]},
}
_BUSYBOX = "tar -C /opt/caisson/bin -c busybox | docker import - base >/dev/null"
_LAYERS = "".join(f"RUN /busybox dd if=/dev/urandom of=/layer{n} bs=1M count=20 2>/dev/null\n" for n in range(5))
_PULLED = f'FROM base\nSHELL ["/busybox", "sh", "-c"]\n{_LAYERS}'
_BUILT = "".join(f"RUN /busybox cp /layer{n % 5} /copy{n}\n" for n in range(10))
_WRITE = "/busybox dd if=/dev/zero of=/data bs=1M count=500 conv=fsync"


def shell(name: str, script: str) -> None:
    """Run a script in a sandbox."""
    kubectl("exec", name, "--", "sh", "-ec", script)


def build(name: str, tag: str, dockerfile: str) -> None:
    """Build an image with the classic builder, without a build context."""
    shell(name, f"export DOCKER_BUILDKIT=0; docker build -q -t {tag} - >/dev/null <<'END'\n{dockerfile}\nEND")


def delete(name: str) -> None:
    """Delete a Sandbox and wait until its pod is gone."""
    kubectl("delete", "sbx", name)
    wait_until_gone(name)


def start_registry() -> str:
    """Start a registry and return its address."""
    labels, container = {"app": "registry"}, {"name": "registry", "image": "caisson.dev/test/registry:1"}
    metadata, ports = {"name": "registry", "labels": labels}, [{"port": 5000}]
    for kind, spec in (
        ("Service", {"selector": labels, "ports": ports}),
        ("Pod", {"runtimeClassName": "runc", "containers": [container]}),
    ):
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest), namespace=_REGISTRY_NAMESPACE)
    kubectl("wait", "--for=condition=Ready", "pod/registry", "--timeout=90s", namespace=_REGISTRY_NAMESPACE)
    path = "jsonpath={.spec.clusterIP}"
    return kubectl("get", "service", "registry", "-o", path, namespace=_REGISTRY_NAMESPACE) + ":5000"


def measure(name: str, docker: Json, image: str) -> dict[str, float]:
    """Measure one round with one storage type. Returns the seconds of each step."""
    steps: dict[str, Callable[[], None]] = {
        "start": lambda: apply_until_ready(name, docker=docker),
        "pull": lambda: shell(name, f"docker pull -q {image}"),
        "build": lambda: build(name, "built", f'FROM {image}\nSHELL ["/busybox", "sh", "-c"]\n{_BUILT}'),
        "run": lambda: shell(name, f"for n in 1 2 3 4 5; do docker run --rm {image} /busybox true; done"),
        "write": lambda: shell(name, f"docker run --rm {image} {_WRITE}"),
    }
    took = {}
    for step, run in steps.items():
        begin = time.monotonic()
        run()
        took[step] = time.monotonic() - begin
    delete(name)
    return took


def main() -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--version", default="26", help="the Docker version")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the directory for JSON ({OUTPUT})")
    arguments = parser.parse_args()
    local("operator", "install")
    with namespaces(NAMESPACE), namespaces(_REGISTRY_NAMESPACE, guarded=False):
        registry = start_registry()
        common = {"version": arguments.version, "registry": {"insecure": [registry]}}
        image = f"{registry}/layers:1"
        apply_until_ready("pusher", docker=common)
        shell("pusher", _BUSYBOX)
        build("pusher", image, _PULLED)
        shell("pusher", f"docker push -q {image}")
        delete("pusher")
        rounds: dict[str, list[dict[str, float]]] = {storage: [] for storage in _STORAGES}
        for number in range(arguments.rounds):
            for place, (storage, docker) in enumerate(_STORAGES.items()):
                rounds[storage].append(measure(f"bench-{place}-{number}", common | docker, image))
    _print(rounds, arguments.version)
    save(arguments.output, "storage", {"version": arguments.version, "rounds": rounds})
    return 0


def _print(rounds: dict[str, list[dict[str, float]]], version: str) -> None:
    floor = {step: statistics.median(r[step] for r in rounds["Memory"]) for step in rounds["Memory"][0]}
    rows = []
    for storage, durations in rounds.items():
        medians = {step: statistics.median(r[step] for r in durations) for step in floor}
        rows.append([storage, *(f"{medians[step]:.2f} ({medians[step] / floor[step]:.1f}x)" for step in floor)])
    print(f"Docker {version}: medians of {len(rounds['Memory'])} rounds in seconds, and the ratio to Memory")
    print(table(["", *floor], rows))


if __name__ == "__main__":
    sys.exit(main())
