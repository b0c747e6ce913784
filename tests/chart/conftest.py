"""The chart tests need helm and its companions, at their pinned versions, and no cluster."""

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
"""Values that between them render every template."""

Json = dict[str, Any]


def local(*arguments: str) -> Path:
    """Return the path that a command of the local cluster prints."""
    command = [sys.executable, "-m", "local", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


@dataclass(frozen=True)
class Tool:
    """One of the pinned tools."""

    path: Path

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        command = [str(self.path), *arguments]
        return subprocess.run(command, cwd=CHECKOUT, input=stdin, capture_output=True, text=True, check=False)

    def output(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and return what it printed; it must succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Helm(Tool):
    """Helm, with this chart."""

    def template(self, *arguments: str) -> list[Json]:
        """Return the objects that the chart renders as."""
        rendered = self.output("template", "caisson", str(CHART), "--namespace", "caisson-system", *arguments)
        return [document for document in yaml.safe_load_all(rendered) if document]

    def refusal(self, *arguments: str) -> str:
        """Return what helm says about values which it must refuse."""
        done = self.run("template", "caisson", str(CHART), "--namespace", "caisson-system", *arguments)
        assert done.returncode != 0, f"not refused: {arguments}"
        return done.stderr


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm."""
    return Helm(local("tool", "helm"))


@pytest.fixture(scope="session")
def unittest() -> Tool:
    """helm-unittest, which renders single templates."""
    return Tool(local("tool", "helm-unittest"))


@pytest.fixture(scope="session")
def kubeconform() -> Tool:
    """kubeconform, which compares objects with schemas."""
    return Tool(local("tool", "kubeconform"))
