"""Provision PersistentVolumes of the StorageClass `local`: one directory on the machine for each PVC.

    python3 -m local.provisioner KUBECTL DIRECTORY

It watches PVCs and PersistentVolumes, and deletes the directory after the PVC is deleted.
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


def volume_for(pvc: Json, directory: Path) -> Json | None:
    """Return the PersistentVolume for a PVC; None if it has another StorageClass, a volume, or is being deleted."""
    spec, metadata = pvc["spec"], pvc["metadata"]
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
            # Kubernetes must not delete the volume before this provisioner has deleted the directory.
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


def is_released(volume: Json) -> bool:
    """Return whether this provisioner created the volume and its PVC has been deleted."""
    phase: str | None = volume.get("status", {}).get("phase")
    return bool(volume["spec"].get("storageClassName") == CLASS) and phase == "Released"


async def _provision(kubectl: str, directory: Path) -> None:
    async for pvc in _watch(kubectl, "persistentvolumeclaims", "--all-namespaces"):
        volume = volume_for(pvc, directory)
        if volume is not None:
            await _run(kubectl, "apply", "-f", "-", stdin=json.dumps(volume))


async def _reclaim(kubectl: str, directory: Path) -> None:
    async for volume in _watch(kubectl, "persistentvolumes"):
        if is_released(volume):
            name = volume["metadata"]["name"]
            shutil.rmtree(directory / name, ignore_errors=True)
            await _run(kubectl, "delete", "persistentvolume", name, "--ignore-not-found", "--wait=false")


async def _watch(kubectl: str, *resource: str) -> AsyncIterator[Json]:
    """Yield existing objects, then every changed object, without end."""
    while True:
        process = await asyncio.create_subprocess_exec(
            *(kubectl, "get", *resource, "--watch", "-o", "json"), stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES
        )
        assert process.stdout is not None  # noqa: S101
        document = b""
        async for line in process.stdout:
            document += line
            # kubectl prints each object over many lines, the last of which is a closing brace without indentation.
            if line.rstrip() == b"}":
                yield json.loads(document)
                document = b""
        await process.wait()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _run(*command: str, stdin: str = "") -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await process.communicate(stdin.encode())


async def provision(kubectl: str, directory: Path) -> None:
    """Provision and reclaim volumes until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_provision(kubectl, directory))
        group.create_task(_reclaim(kubectl, directory))


if __name__ == "__main__":
    asyncio.run(provision(sys.argv[1], Path(sys.argv[2])))
