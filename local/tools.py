"""Helm and other tools, always in the pinned version, because tests compare their output."""

import json
from pathlib import Path

from local.build import build_components
from local.command import run
from local.components import BUILD_ENVIRONMENT, TOOLS
from local.paths import Paths
from local.toolchain import find_go


def find_tool(paths: Paths, name: str) -> Path:
    """Return the path of a tool under its own name. Builds it if it is not in the cache."""
    (component,) = (tool for tool in TOOLS if tool.name == name)
    binary = build_components(paths, [component])[name]
    link = paths.cache / "tools" / binary.name / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(binary)
    return link


def find_openapi(paths: Paths) -> Path:
    """Return the directory of the OpenAPI v3 documents in the sources of the cluster's Kubernetes."""
    # If the module has been downloaded, this command only prints its path.
    module = run(
        [find_go(paths).path, "mod", "download", "-json", "k8s.io/kubernetes"],
        env=BUILD_ENVIRONMENT,
        cwd=paths.modules / "kubernetes",
        fix="if the module could not be downloaded, check the network and GOPROXY, then run the command again",
    )
    return Path(json.loads(module)["Dir"], "api", "openapi-spec", "v3")
