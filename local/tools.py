"""Helm and what else is used on the cluster: always the pinned ones, because tests compare what they print."""

import json
from pathlib import Path

from local.build import build_components
from local.command import run
from local.components import BUILD_ENVIRONMENT, TOOLS
from local.paths import Paths
from local.toolchain import find_go


def find_tool(paths: Paths, name: str) -> Path:
    """The path of a tool under its own name; built if it is not in the cache yet."""
    (component,) = (tool for tool in TOOLS if tool.name == name)
    binary = build_components(paths, [component])[name]
    link = paths.cache / "tools" / binary.name / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(binary)
    return link


def find_openapi(paths: Paths) -> Path:
    """The directory of the OpenAPI v3 documents that come with the sources of the cluster's Kubernetes."""
    # Of a module that is there already this prints where, and downloads nothing.
    downloaded = run(
        [find_go(paths).path, "mod", "download", "-json", "k8s.io/kubernetes"],
        env=BUILD_ENVIRONMENT,
        cwd=paths.modules / "kubernetes",
        fix="if the module could not be downloaded, check the network and GOPROXY; then run the command again",
    )
    return Path(json.loads(downloaded)["Dir"], "api", "openapi-spec", "v3")
