"""A developer's own tools with a sandbox's Docker, with the commands of docs/from-your-machine.md."""

import re
from collections.abc import Iterator

import pytest

from tests.docker.daemon import SMALL, WORKLOAD, Daemon
from tests.docker.outside import Outside
from tests.docker.web import request_from_outside, serve
from tests.e2e.cluster import CHECKOUT
from tests.e2e.kubectl import KubectlError, eventually

DOCUMENT = CHECKOUT / "docs" / "from-your-machine.md"
USE = "export DOCKER_HOST=unix:///tmp/demo.sock"

FROM_CONTEXT = f"FROM {SMALL}\nCOPY word /\nCMD cat /word\n"


def block(text: str) -> str:
    """Return the single code block of the document that contains the text."""
    blocks = re.findall(r"^```[a-z]+\n(.*?)^```$", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    (match,) = (block for block in blocks if text in block)
    return str(match)


@pytest.fixture(scope="module")
def machine(outside: Outside, daemon: Daemon) -> Iterator[Outside]:
    """A developer's machine with the local socket that the document describes."""
    with outside.terminal(block("UNIX-LISTEN")):
        eventually(lambda: succeeds(outside, "test -S /tmp/demo.sock"), lambda: "there is no socket")
        yield outside


def succeeds(outside: Outside, script: str) -> bool:
    """Return whether a script succeeds."""
    try:
        outside.bash(script)
    except KubectlError:
        return False
    return True


def test_docker_and_compose_of_the_machine_use_the_sandbox(machine: Outside, docker: Daemon) -> None:
    docker("tag", SMALL, "debian:trixie-slim")
    assert machine.bash(block("docker version")).splitlines()[-1] == "it ran"
    machine.bash(
        f"mkdir -p /tmp/project/web; cd /tmp/project; echo hello >web/word; echo '{FROM_CONTEXT}' >web/Dockerfile"
    )
    machine.bash("cd /tmp/project; echo 'services: {one: {build: web}, two: {build: web}}' >compose.yaml")
    output = machine.bash(
        f"{USE}; cd /tmp/project; docker compose up --build --no-log-prefix 2>&1; docker compose down 2>&1"
    )
    assert sum(line.endswith("hello") for line in output.splitlines()) == 2, output


@pytest.mark.campaign
def test_docker_context_uses_the_sandbox(machine: Outside, docker: Daemon) -> None:
    docker("run", "--detach", "--name", "sleeper", SMALL, "sleep", "60")
    assert "sleeper" in machine.bash(block("docker context create"))
    machine.bash("docker context rm demo")


@pytest.mark.campaign
@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "buildkit"])
def test_build_sends_its_context(machine: Outside, docker: Daemon, buildkit: str) -> None:
    machine.bash(f"mkdir -p /tmp/context; cd /tmp/context; echo hello >word; echo '{FROM_CONTEXT}' >Dockerfile")
    machine.bash(f"{USE} DOCKER_BUILDKIT={buildkit}; docker build --tag sent /tmp/context", timeout=300)
    assert docker("run", "--rm", "sent") == "hello"


@pytest.mark.campaign
def test_concurrent_connections_work(machine: Outside, docker: Daemon) -> None:
    one = f"docker run --rm {SMALL} sh -c 'sleep 3; echo it ran'"
    output = machine.bash(f"{USE}; for n in 1 2 3 4 5 6; do {one} & done; wait", timeout=300)
    assert output.splitlines() == ["it ran"] * 6


@pytest.mark.campaign
def test_output_long_after_the_last_input_arrives(machine: Outside, docker: Daemon) -> None:
    slow = f"docker run --rm --interactive {SMALL} sh -c 'cat; sleep 5; echo late'"
    assert machine.bash(f"{USE}; echo typed | {slow}").splitlines() == ["typed", "late"]


@pytest.mark.campaign
def test_image_of_the_machine_is_loaded(machine: Outside, docker: Daemon) -> None:
    machine.bash(f"{USE}; docker save {SMALL} >/tmp/saved.tar; docker load </tmp/saved.tar; rm /tmp/saved.tar")


@pytest.mark.campaign
def test_published_port_is_forwarded_to_the_machine(machine: Outside, docker: Daemon) -> None:
    serve(docker, "--publish", "8080:80")
    with machine.terminal(block("TCP-LISTEN:8080")):
        eventually(
            lambda: succeeds(machine, request_from_outside("127.0.0.1", 8080)), lambda: "the port does not respond"
        )


@pytest.mark.campaign
def test_port_forward_does_not_reach_a_published_port(machine: Outside, docker: Daemon) -> None:
    serve(docker, "--publish", "8080:80")
    forward = "kubectl port-forward pod/demo 18080:8080 >/tmp/forward 2>&1"
    with machine.terminal(forward):
        eventually(
            lambda: succeeds(machine, "grep 'Forwarding from' /tmp/forward"), lambda: "port-forward does not start"
        )
        assert not succeeds(machine, request_from_outside("127.0.0.1", 18080))
        eventually(
            lambda: succeeds(machine, "grep 'connection refused' /tmp/forward"), lambda: "port-forward reports no error"
        )


@pytest.mark.usefixtures("workload")
def test_testcontainers_start_a_database_in_the_sandbox(machine: Outside, docker: Daemon) -> None:
    docker("tag", WORKLOAD, "postgres:17")
    with machine.terminal(block("TCP-LISTEN:15432")):
        assert "PostgreSQL 17" in machine.bash(run(block("import psycopg")), timeout=300)
    assert not docker("ps", "--all", "--quiet")


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
def test_testcontainers_in_the_cluster_need_no_fixed_port(machine: Outside, docker: Daemon) -> None:
    docker("tag", WORKLOAD, "postgres:17")
    program = block("import psycopg").replace(".with_bind_ports(5432, 15432)", "")
    override = f"export TESTCONTAINERS_HOST_OVERRIDE={docker.kubectl.status(docker.name)['podIP']}\n"
    assert "PostgreSQL 17" in machine.bash(override + run(program), timeout=300)


def run(program: str) -> str:
    """Return a script that runs a program with Testcontainers."""
    return f"{block('TESTCONTAINERS_RYUK_DISABLED')}python3 - <<'END'\n{program}END"
