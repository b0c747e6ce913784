"""What each storage of a sandbox costs: apply to Ready, pull, build, run, and writing 500 MB; next to vfs, in one run.

Storages take turns, so that what else the machine does falls on all of them. An image is pulled from a registry that
runs beside the sandboxes. Needs the local cluster, the operator and the image of the tests' registry (`make up`,
`python3 -m local operator install`, `python3 -m local images registry`).

    python benchmarks/storage.py [--rounds 3] [--version 26]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

_NAMESPACE = "bench-storage"
_REGISTRYS_NAMESPACE = "bench-registry"
"""Another: in one for sandboxes no ordinary pod may be."""
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


def kubectl(*arguments: str, stdin: str | None = None, namespace: str = _NAMESPACE) -> str:
    """Run kubectl in a namespace of the benchmark and return what it printed."""
    command = ["kubectl", "--namespace", namespace, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return done.stdout


def shell(name: str, script: str) -> None:
    """Run a script in a sandbox."""
    kubectl("exec", name, "--", "sh", "-ec", script)


def build(name: str, tag: str, dockerfile: str) -> None:
    """Build an image by the classic builder, without a context."""
    shell(name, f"export DOCKER_BUILDKIT=0; docker build -q -t {tag} - >/dev/null <<'END'\n{dockerfile}\nEND")


def apply(name: str, docker: Json) -> None:
    """Apply a Sandbox and wait until it is Ready."""
    spec = {"image": "debian:trixie-slim", "docker": docker}
    manifest = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": spec}
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    kubectl("wait", "--for=condition=Ready", f"sbx/{name}", "--timeout=180s")


def delete(name: str) -> None:
    """Delete a Sandbox and wait until its pod is gone, so that its end costs the next round nothing."""
    kubectl("delete", "sbx", name)
    kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=120s")


def start_registry() -> str:
    """Run a registry and return its address."""
    labels, container = {"app": "registry"}, {"name": "registry", "image": "caisson.dev/test/registry:1"}
    metadata, ports = {"name": "registry", "labels": labels}, [{"port": 5000}]
    for kind, spec in (
        ("Service", {"selector": labels, "ports": ports}),
        ("Pod", {"runtimeClassName": "runc", "containers": [container]}),
    ):
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest), namespace=_REGISTRYS_NAMESPACE)
    kubectl("wait", "--for=condition=Ready", "pod/registry", "--timeout=90s", namespace=_REGISTRYS_NAMESPACE)
    path = "jsonpath={.spec.clusterIP}"
    return kubectl("get", "service", "registry", "-o", path, namespace=_REGISTRYS_NAMESPACE) + ":5000"


def measure(name: str, docker: Json, image: str) -> dict[str, float]:
    """One round on one storage, in seconds."""
    steps: dict[str, Callable[[], None]] = {
        "start": lambda: apply(name, docker),
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
    parser.add_argument("--version", default="26", help="of Docker")
    arguments = parser.parse_args()
    for name in _NAMESPACE, _REGISTRYS_NAMESPACE:
        subprocess.run(["kubectl", "create", "namespace", name], check=True, capture_output=True)
    try:
        kubectl("label", "namespace", _NAMESPACE, "caisson.dev/sandboxes=true")
        registry = start_registry()
        common = {"version": arguments.version, "registry": {"insecure": [registry]}}
        image = f"{registry}/layers:1"
        apply("pusher", common)
        shell("pusher", _BUSYBOX)
        build("pusher", image, _PULLED)
        shell("pusher", f"docker push -q {image}")
        delete("pusher")
        rounds: dict[str, list[dict[str, float]]] = {storage: [] for storage in _STORAGES}
        for number in range(arguments.rounds):
            for place, (storage, docker) in enumerate(_STORAGES.items()):
                rounds[storage].append(measure(f"bench-{place}-{number}", common | docker, image))
    finally:
        names = [_NAMESPACE, _REGISTRYS_NAMESPACE]
        subprocess.run(["kubectl", "delete", "namespace", *names, "--wait=false"], check=True, capture_output=True)
    _print(rounds, arguments.version)
    return 0


def _print(rounds: dict[str, list[dict[str, float]]], version: str) -> None:
    floor = {step: statistics.median(r[step] for r in rounds["Memory"]) for step in rounds["Memory"][0]}
    print(f"Docker {version}: medians of {len(rounds['Memory'])} rounds in seconds, and as multiples of Memory")
    print(f"{'':<12}" + "".join(f"{step:>16}" for step in floor))
    for storage, took in rounds.items():
        cells = []
        for step, least in floor.items():
            median = statistics.median(r[step] for r in took)
            cells.append(f"{median:>8.2f} ({median / least:4.1f}x)")
        print(f"{storage:<12}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
