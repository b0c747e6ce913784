"""Helm and what else the chart is worked on with: always the pinned ones, because tests compare what they print."""

from pathlib import Path

from local.build import build_components
from local.components import TOOLS
from local.paths import Paths


def find_tool(paths: Paths, name: str) -> Path:
    """The path of a tool under its own name; built if it is not in the cache yet."""
    (component,) = (tool for tool in TOOLS if tool.name == name)
    binary = build_components(paths, [component])[name]
    link = paths.cache / "tools" / binary.name / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(binary)
    return link
