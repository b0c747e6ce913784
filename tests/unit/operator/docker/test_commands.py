"""The argument vectors of exec sessions about Docker. The in-pod script parses them, so they are an interface."""

import pytest

from caisson.docker.commands import preload_command, start_command
from caisson.docker.state import check_session
from caisson.model.pod_shape import TOOLBOX_PATH
from caisson.timing import SESSION_SECONDS, START_SESSIONS_GRACE_SECONDS
from tests.unit.operator.builders import CONFIG, POD_UID, crashed_sandbox, make_pod, make_sandbox, make_spec

SCRIPT = [f"{TOOLBOX_PATH}/bin/busybox", "sh", f"{TOOLBOX_PATH}/libexec/sandbox"]


def test_preload_names_the_pod_and_all_images() -> None:
    command = preload_command(POD_UID, ("debian", "docker.io/library/nginx:1"))
    options = ["--pod-uid", POD_UID, "--wait", str(SESSION_SECONDS)]
    assert command == [*SCRIPT, "preload", *options, "--", "debian", "docker.io/library/nginx:1"]


def test_start_names_the_pod_the_attempt_and_the_timeout() -> None:
    command = start_command(make_sandbox(make_spec(docker={"startTimeoutSeconds": 77})), CONFIG, make_pod(), 4)
    assert command[:10] == [*SCRIPT, "start", "--pod-uid", POD_UID, "--attempt", "4", "--timeout", "77"]
    assert command[command.index("--wait") + 1] == str(SESSION_SECONDS)


@pytest.mark.parametrize("flag", ["--default-address-pool=base=10.9.0.0/16,size=24", "--default-address-pool"])
def test_address_pool_of_the_user_is_not_overridden(flag: str) -> None:
    pod = make_pod(ip="172.17.3.4")
    assert any("--default-address-pool" in word for word in start_command(make_sandbox(), CONFIG, pod, 0))
    command = start_command(make_sandbox(make_spec(docker={"flags": [flag]})), CONFIG, pod, 0)
    assert [word for word in command if "--default-address-pool" in word] == [flag]


def test_sessions_outlast_the_start_timeout() -> None:
    sandbox = make_sandbox(make_spec(docker={"startTimeoutSeconds": 77}))
    session = check_session(sandbox, None, CONFIG, make_pod(node="node-7"))
    assert session.timeout_seconds == 77 + START_SESSIONS_GRACE_SECONDS
    assert (session.node, session.pod_name, session.pod_uid) == ("node-7", "demo", POD_UID)


@pytest.mark.parametrize("restarts", [0, 3])
def test_check_continues_the_latest_start(restarts: int) -> None:
    docker = crashed_sandbox().status.docker
    assert docker is not None
    session = check_session(make_sandbox(), docker.model_copy(update={"restarts": restarts}), CONFIG, make_pod())
    assert session.command[session.command.index("--attempt") + 1] == str(restarts)


def test_check_of_a_daemon_without_status_is_the_first_start() -> None:
    session = check_session(make_sandbox(), None, CONFIG, make_pod())
    assert session.command[session.command.index("--attempt") + 1] == "0"
