"""Common container commands in a sandbox, and which limits gVisor enforces."""

import pytest

from tests.docker.daemon import SMALL, Daemon
from tests.e2e.kubectl import eventually

pytestmark = pytest.mark.campaign

FOREVER = "while :; do sleep 1; done"
ENDS_ON_SIGTERM = f"trap 'echo terminated; exit 3' TERM; echo up; {FOREVER}"


def start(docker: Daemon, name: str, *options: str, script: str = FOREVER) -> None:
    """Start a container of the small image in the background."""
    docker("run", "--detach", "--name", name, *options, SMALL, "sh", "-c", script)


def test_ten_containers_run_concurrently(docker: Daemon) -> None:
    names = {f"c{number}" for number in range(10)}
    docker.shell(
        "for n in 0 1 2 3 4 5 6 7 8 9; do"
        f" docker run --detach --name c$n --hostname host$n {SMALL} sh -c '{FOREVER}' & done; wait",
        timeout=300,
    )
    assert set(docker("ps", "--format", "{{.Names}}").splitlines()) == names
    output = docker.shell("for n in 0 1 2 3 4 5 6 7 8 9; do docker exec c$n hostname; done")
    assert output.splitlines() == [f"host{number}" for number in range(10)]


def test_exec_options_and_exit_code(docker: Daemon) -> None:
    start(docker, "one")
    assert docker("exec", "--interactive", "one", "cat", stdin="typed") == "typed"
    options = ["--user", "12:34", "--workdir", "/tmp", "--env", "WORD=hello"]
    assert docker("exec", *options, "one", "sh", "-c", "id -u; id -g; pwd; echo $WORD").splitlines() == [
        *("12", "34", "/tmp", "hello"),
    ]
    assert "exit code 7" in docker.error("exec", "one", "sh", "-c", "exit 7")


def test_container_gets_a_terminal(docker: Daemon) -> None:
    assert docker("run", "--rm", "--tty", SMALL, "sh", "-c", "test -t 1 && tty").strip() == "/dev/pts/0"


def test_logs_follow_a_container_to_its_end(docker: Daemon) -> None:
    start(docker, "one", script="for n in 1 2 3; do echo $n; sleep 1; done; echo end >&2")
    assert docker.run("sh", "-ec", "docker logs --follow one 2>&1").splitlines() == ["1", "2", "3", "end"]
    assert docker("logs", "--tail", "2", "one") == "3"


def test_files_are_copied_to_and_from_containers(docker: Daemon) -> None:
    docker.write("/copied/word", "hello")
    start(docker, "one")
    docker("cp", "/copied", "one:/tmp/in")
    assert docker("exec", "one", "cat", "/tmp/in/word") == "hello"
    docker("kill", "one")
    docker("cp", "one:/tmp/in/word", "/out")
    assert docker.run("cat", "/out") == "hello"


def test_events_are_listed(docker: Daemon) -> None:
    since = docker.shell("date +%s.%N")
    docker("run", "--name", "one", SMALL, "true")
    docker("rm", "one")
    until = docker.shell("date +%s.%N")
    actions = docker(
        "events", "--since", since, "--until", until, "--filter", "container=one", "--format", "{{.Action}}"
    )
    assert actions.splitlines() == ["create", "attach", "start", "die", "destroy"]


def test_stats_report_no_cpu_and_memory(docker: Daemon) -> None:
    start(docker, "one", script="while :; do :; done")
    figures = "{{.Name}} {{.CPUPerc}} {{.MemPerc}} {{.PIDs}}"
    assert docker("stats", "--no-stream", "--format", figures) == "one 0.00% 0.00% 0"


def test_top_requires_ps_in_the_image_of_the_sandbox(docker: Daemon) -> None:
    start(docker, "one", script="exec sleep 4321")
    assert "executable file not found" in docker.error("top", "one")
    docker.run("ln", "-s", "/opt/caisson/bin/busybox", "/usr/local/bin/ps")
    try:
        assert "sleep 4321" in docker("top", "one")
    finally:
        docker.run("rm", "/usr/local/bin/ps")


def test_health_check_runs(docker: Daemon) -> None:
    start(docker, "one", "--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1")
    docker.until("one", lambda state: state["Health"]["Status"] == "unhealthy", "unhealthy")
    docker("exec", "one", "touch", "/tmp/well")
    docker.until("one", lambda state: state["Health"]["Status"] == "healthy", "healthy")


def test_on_failure_restarts_up_to_its_limit(docker: Daemon) -> None:
    start(docker, "one", "--restart", "on-failure:2", script="exit 5")
    container = docker.until(
        "one", lambda state: state["Status"] == "exited" and state["ExitCode"] == 5, "exited for good"
    )
    eventually(lambda: docker.inspect("one")["RestartCount"] == 2, lambda: f"restarts: {container['RestartCount']}")
    docker.until("one", lambda state: state["Status"] == "exited" and not state["Restarting"], "exited")


def test_always_restarts_a_killed_container(docker: Daemon) -> None:
    start(docker, "one", "--restart", "always")
    before = docker.inspect("one")["State"]["Pid"]
    docker.run("busybox", "kill", "-9", str(before))
    container = docker.until("one", lambda state: state["Running"] and state["Pid"] not in {0, before}, "running again")
    assert container["RestartCount"] == 1


def test_stop_delivers_sigterm_and_waits(docker: Daemon) -> None:
    start(docker, "one", script=ENDS_ON_SIGTERM)
    eventually(lambda: docker("logs", "one") == "up", lambda: "the container did not start")
    docker("stop", "--time", "60", "one")
    assert docker("logs", "one").splitlines() == ["up", "terminated"]
    assert docker.inspect("one")["State"]["ExitCode"] == 3


def test_stop_kills_a_container_that_ignores_sigterm(docker: Daemon) -> None:
    start(docker, "one", script=f"trap '' TERM; echo up; {FOREVER}")
    eventually(lambda: docker("logs", "one") == "up", lambda: "the container did not start")
    docker("stop", "--time", "1", "one")
    assert docker.inspect("one")["State"]["ExitCode"] == 137


def test_pause_is_not_supported(docker: Daemon) -> None:
    start(docker, "one")
    assert "cannot toggle freezer" in docker.error("pause", "one")


def test_commit_and_diff_contain_the_changes_of_a_container(docker: Daemon) -> None:
    docker("run", "--name", "one", SMALL, "sh", "-c", "echo hello >/word; rm /bin/vi")
    assert set(docker("diff", "one").splitlines()) >= {"A /word", "D /bin/vi"}
    docker("commit", "one", "committed")
    assert docker("run", "--rm", "committed", "cat", "/word") == "hello"


def test_named_volume_is_shared_and_persistent(docker: Daemon) -> None:
    docker("volume", "create", "data")
    docker.in_small("--volume", "data:/data", script="echo hello >/data/word")
    start(docker, "reader", "--volume", "data:/data:ro")
    assert docker("exec", "reader", "cat", "/data/word") == "hello"
    assert "Read-only file system" in docker.error("exec", "reader", "touch", "/data/more")
    assert "volume is in use" in docker.error("volume", "rm", "data")


def test_directory_of_the_sandbox_can_be_mounted(docker: Daemon) -> None:
    docker.write("/shared/word", "hello")
    docker.in_small("--volume", "/shared:/shared", script="cat /shared/word >/shared/again")
    assert docker.run("cat", "/shared/again") == "hello"


def test_tmpfs_size_is_enforced(docker: Daemon) -> None:
    output = docker.in_small(
        "--tmpfs", "/scratch:size=1m", script="dd if=/dev/zero of=/scratch/f bs=1M count=4 2>&1 || wc -c </scratch/f"
    )
    assert output.splitlines()[-1] == "1048576"


def test_privileged_grants_the_capabilities_of_the_sandbox(docker: Daemon) -> None:
    capabilities = docker.in_small("--privileged", script="grep CapEff /proc/self/status")
    assert capabilities == docker.run("grep", "CapEff", "/proc/self/status")
    mounted = docker.in_small("--privileged", script="mount -t tmpfs none /tmp && grep ' /tmp ' /proc/mounts")
    assert "tmpfs" in mounted
    assert "gvisor" in docker.in_small("--privileged", script="uname -r")


def test_docker_runs_in_docker(docker: Daemon) -> None:
    options = ["--privileged", "--volume", "/opt/caisson:/opt/caisson:ro", "--tmpfs", "/var/lib/docker:exec"]
    script = (
        "export PATH=$PATH:/opt/caisson/bin;"
        " dockerd --iptables=false --ip6tables=false >/dev/null 2>&1 &"
        " until docker info >/dev/null 2>&1; do sleep 0.2; done;"
        " tar -C / -c bin | docker import - inner >/dev/null;"
        " docker run --rm inner /bin/echo it ran"
    )
    assert docker.in_small(*options, script=script) == "it ran"


def test_capabilities_can_be_dropped(docker: Daemon) -> None:
    assert docker.in_small("--cap-drop", "ALL", script="grep CapEff /proc/self/status").split()[1] == "0" * 16


def test_memory_limit_is_not_enforced(docker: Daemon) -> None:
    output = docker.in_small("--memory", "16m", script="dd if=/dev/zero of=/dev/null bs=100M count=1 2>&1")
    assert "1+0 records out" in output


def test_cpu_limit_is_not_enforced(docker: Daemon) -> None:
    spin = "timeout 4 sh -c 'while :; do :; done'; awk '{ print $16 + $17 }' /proc/$$/stat"
    assert int(docker.in_small("--cpus", "0.1", script=spin)) > 100


def test_process_limit_is_enforced_late(docker: Daemon) -> None:
    many = "for n in $(seq 200); do sleep 60 & done"
    assert "can't fork" in docker.error("run", "--rm", "--pids-limit", "5", SMALL, "sh", "-c", many)


def test_open_files_limit_is_enforced(docker: Daemon) -> None:
    assert docker.in_small("--ulimit", "nofile=64:64", script="ulimit -n") == "64"


def test_sysctl_of_a_container_applies_to_the_whole_sandbox(docker: Daemon) -> None:
    setting = "/proc/sys/net/ipv4/tcp_sack"
    try:
        assert docker("run", "--rm", "--sysctl", "net.ipv4.tcp_sack=0", SMALL, "cat", setting) == "0"
        assert docker.run("cat", setting) == "0"
    finally:
        docker.shell(f"echo 1 >{setting}")


def test_ended_containers_leave_no_processes(docker: Daemon) -> None:
    count = "busybox ps -o comm | grep -c containerd-shim || true"
    before = docker.shell(count)
    for _ in range(3):
        docker.in_small(script="true")
    eventually(lambda: docker.shell(count) == before, lambda: docker.run("busybox", "ps"))
