"""docker compose: services that resolve each other by name, and persistent data."""

import json
from collections.abc import Iterator

import pytest

from tests.docker.daemon import WORKLOAD, Daemon
from tests.e2e.kubectl import KubectlError, eventually

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
    """The compose project in a sandbox."""

    def __init__(self, docker: Daemon) -> None:
        """Write the compose file to the sandbox."""
        self._docker = docker
        docker.write("/project/compose.yaml", json.dumps(PROJECT))

    def __call__(self, *arguments: str) -> str:
        """Run docker compose."""
        return self._docker("compose", "--project-directory", "/project", *arguments, timeout=300)

    def up(self) -> None:
        """Create the services, and wait until they are healthy."""
        self("up", "--detach", "--wait")

    def visit(self) -> int:
        """Visit the web server, and return the number of visits, which it reads from the database."""
        response = ""

        def responds() -> bool:
            nonlocal response
            try:
                response = self._docker.shell("busybox wget -q -O - http://127.0.0.1:8080/cgi-bin/visits")
            except KubectlError as error:
                response = str(error)
            return response.isdigit()

        eventually(responds, lambda: f"the web server responds: {response}")
        return int(response)


@pytest.fixture
def project(docker: Daemon) -> Iterator[Project]:
    """The compose project. It is removed after the test."""
    project = Project(docker)
    yield project
    project("down", "--volumes", "--timeout", "5")


def test_data_persist_until_their_volume_is_removed(project: Project) -> None:
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
def test_compose_lists_its_services(project: Project) -> None:
    project.up()
    assert "database system is ready to accept connections" in project("logs", "database")
    services = [json.loads(line) for line in project("ps", "--format", "json").splitlines()]
    assert {service["Service"]: service["State"] for service in services} == {"web": "running", "database": "running"}
    assert project("exec", "-T", "web", "printenv", "PGHOST") == "database"
    assert "hello" in project("run", "--rm", "--no-deps", "web", "echo", "hello")
