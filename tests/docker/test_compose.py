"""docker compose: several services that know each other by name, and what they keep."""

import json
from collections.abc import Iterator

import pytest

from tests.docker.daemon import WORKLOAD, Daemon
from tests.e2e.kubectl import Refused, eventually

DATABASE = {"PGHOST": "database", "PGUSER": "app", "PGPASSWORD": "secret", "PGDATABASE": "app"}

PROJECT = {
    "services": {
        "web": {
            "image": WORKLOAD,
            "command": ["web"],
            "init": True,
            "environment": DATABASE,
            "ports": ["8080:8080"],
            "networks": ["inner"],
            "depends_on": {"database": {"condition": "service_healthy"}},
        },
        "database": {
            "image": WORKLOAD,
            "environment": {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "secret"},
            "healthcheck": {"test": ["CMD", "pg_isready", "--host=127.0.0.1"], "interval": "1s", "retries": 120},
            "networks": ["inner"],
            "volumes": ["data:/var/lib/postgresql/data"],
        },
    },
    "networks": {"inner": {}},
    "volumes": {"data": {}},
}

pytestmark = pytest.mark.usefixtures("workload")


class Project:
    """The project above, in a sandbox."""

    def __init__(self, docker: Daemon) -> None:
        """Write it down there."""
        self._docker = docker
        docker.write("/project/compose.yaml", json.dumps(PROJECT))

    def __call__(self, *arguments: str) -> str:
        """Run docker compose."""
        return self._docker("compose", "--project-directory", "/project", *arguments, timeout=300)

    def up(self) -> None:
        """Create what is missing, and wait until all of it is healthy."""
        self("up", "--detach", "--wait")

    def visit(self) -> int:
        """Ask the web server, which asks the database, how many visits there were with this one."""
        answer = ""

        def answers() -> bool:
            nonlocal answer
            try:
                answer = self._docker.shell("busybox wget -q -O - http://127.0.0.1:8080/cgi-bin/visits")
            except Refused as refusal:
                answer = str(refusal)
            return answer.isdigit()

        eventually(answers, lambda: f"the web server says: {answer}")
        return int(answer)


@pytest.fixture
def project(docker: Daemon) -> Iterator[Project]:
    """The project, removed afterwards."""
    found = Project(docker)
    yield found
    found("down", "--volumes", "--timeout", "5")


def test_data_survive_all_but_the_removal_of_their_volume(project: Project) -> None:
    project.up()
    assert [project.visit(), project.visit()] == [1, 2]
    project("restart")
    assert project.visit() == 3
    project("down")
    project.up()
    assert project.visit() == 4
    project("down", "--volumes")
    project.up()
    assert project.visit() == 1


@pytest.mark.campaign
def test_compose_tells_of_its_services(project: Project) -> None:
    project.up()
    assert "database system is ready to accept connections" in project("logs", "database")
    running = [json.loads(line) for line in project("ps", "--format", "json").splitlines()]
    assert {service["Service"]: service["State"] for service in running} == {"web": "running", "database": "running"}
    assert project("exec", "-T", "web", "printenv", "PGHOST") == "database"
    assert "hello" in project("run", "--rm", "--no-deps", "web", "echo", "hello")
