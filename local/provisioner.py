"""Give each PersistentVolumeClaim of the class `local` a directory of the machine, and take it back with the claim.

    python3 -m local.provisioner KUBECTL DIRECTORY

It follows one watch of claims and one of volumes, so that at rest it costs nothing.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

CLASS = "local"
_NAME = "caisson.dev/local"
_PAUSE_SECONDS = 1.0
_LINE_BYTES = 4 * 2**20


def volume_for(claim: Json, directory: Path) -> Json | None:
    """Return the PersistentVolume for a claim; None where it is not ours to serve, or is served already."""
    spec, metadata = claim["spec"], claim["metadata"]
    if spec.get("storageClassName") != CLASS or spec.get("volumeName") or "deletionTimestamp" in metadata:
        return None
    name = f"local-{metadata['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": _NAME}},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": CLASS,
            # Kept by the cluster, because there is nobody but us to delete what is in it.
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "hostPath": {"path": str(directory / name), "type": "DirectoryOrCreate"},
        },
    }


def is_left(volume: Json) -> bool:
    """Tell whether a volume is ours, and its claim is gone."""
    phase: str | None = volume.get("status", {}).get("phase")
    return bool(volume["spec"].get("storageClassName") == CLASS) and phase == "Released"


async def _claims(kubectl: str, directory: Path) -> None:
    async for claim in _watch(kubectl, "persistentvolumeclaims", "--all-namespaces"):
        volume = volume_for(claim, directory)
        if volume is not None:
            await _run(kubectl, "apply", "-f", "-", stdin=json.dumps(volume))


async def _volumes(kubectl: str, directory: Path) -> None:
    async for volume in _watch(kubectl, "persistentvolumes"):
        if is_left(volume):
            name = volume["metadata"]["name"]
            shutil.rmtree(directory / name, ignore_errors=True)
            await _run(kubectl, "delete", "persistentvolume", name, "--ignore-not-found", "--wait=false")


async def _watch(kubectl: str, *what: str) -> AsyncIterator[Json]:
    """Yield what is there and what changes, for ever."""
    while True:
        process = await asyncio.create_subprocess_exec(
            *(kubectl, "get", *what, "--watch", "-o", "json"), stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES
        )
        assert process.stdout is not None  # noqa: S101
        document = b""
        async for line in process.stdout:
            document += line
            # kubectl prints one object after the other, each over many lines and closed at the margin.
            if line.rstrip() == b"}":
                yield json.loads(document)
                document = b""
        await process.wait()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _run(*command: str, stdin: str = "") -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await process.communicate(stdin.encode())


async def provision(kubectl: str, directory: Path) -> None:
    """Serve claims until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_claims(kubectl, directory))
        group.create_task(_volumes(kubectl, directory))


if __name__ == "__main__":
    asyncio.run(provision(sys.argv[1], Path(sys.argv[2])))
