"""Fixtures for the chart tests: pinned versions of helm, helm-unittest and kubeconform. They need no cluster."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / "charts" / "caisson"
CASES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
"""Values files that together render every template."""

Json = dict[str, Any]


def local(*arguments: str) -> Path:
    """Run a command of the local cluster and return the path that it prints."""
    command = [sys.executable, "-m", "local", *arguments]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return Path(result.stdout.strip())


@dataclass(frozen=True)
class Tool:
    """A pinned tool."""

    path: Path

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the tool."""
        command = [str(self.path), *arguments]
        return subprocess.run(command, cwd=CHECKOUT, input=stdin, capture_output=True, text=True, check=False)

    def output(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the tool, assert that it succeeds, and return its output."""
        result = self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


class Helm(Tool):
    """Helm with this chart."""

    def template(self, *arguments: str) -> list[Json]:
        """Return the rendered objects."""
        rendered = self.output("template", "caisson", str(CHART), "--namespace", "caisson-system", *arguments)
        return [document for document in yaml.safe_load_all(rendered) if document]

    def template_error(self, *arguments: str) -> str:
        """Render the chart with invalid values, assert that helm fails, and return its error message."""
        result = self.run("template", "caisson", str(CHART), "--namespace", "caisson-system", *arguments)
        assert result.returncode != 0, f"helm accepted {arguments}"
        return result.stderr


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm."""
    return Helm(local("tool", "helm"))


@pytest.fixture(scope="session")
def unittest() -> Tool:
    """helm-unittest, which tests single templates."""
    return Tool(local("tool", "helm-unittest"))


@pytest.fixture(scope="session")
def kubeconform() -> Tool:
    """kubeconform, which validates objects against schemas."""
    return Tool(local("tool", "kubeconform"))
