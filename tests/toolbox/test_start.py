"""`sandbox start`: starts at most one dockerd and reports its progress, however many sessions run."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.toolbox.fakepod import INFO, LIBEXEC, FakePod, events, start_arguments, wait_for

DOCKERD = r"/bin/dockerd"
SUPERVISOR = r"libexec/supervise"


def dockerds(pod: FakePod) -> int:
    return len(pod.processes(DOCKERD))


def test_start_reports_each_step(pod: FakePod) -> None:
    isolated, started, ready = pod.start()

    assert [isolated["event"], started["event"], ready["event"]] == ["isolated", "started", "ready"]
    assert (ready["pid"], ready["startTime"]) == (started["pid"], started["startTime"])
    assert pod.run("cat", f"/proc/{ready['pid']}/stat").stdout.split(")")[1].split()[19] == str(ready["startTime"])
    assert ready["info"] == '{"serverVersion":"26.1.5","driver":"overlay2"}\n'
    assert ready["retryCount"] == 0


def test_retries_of_the_query_are_counted(pod: FakePod) -> None:
    (pod.fake / "refusals").write_text("2\n")

    assert pod.start()[-1]["retryCount"] == 2


def test_second_start_is_a_no_op_with_the_same_report(pod: FakePod) -> None:
    first = pod.start()
    second = pod.start()

    assert second == first
    assert pod.runs("dockerd") == 1


def test_session_of_an_earlier_attempt_reports_the_latest(pod: FakePod) -> None:
    pod.start(0, "--fake-crash")
    pod.start(3)

    assert pod.start(1)[-1]["attempt"] == 3
    assert pod.runs("dockerd") == 2


def test_new_attempt_does_not_start_a_second_dockerd(pod: FakePod) -> None:
    pod.start(0)

    assert pod.start(1)[-1]["attempt"] == 0
    assert pod.runs("dockerd") == 1


def test_concurrent_sessions_start_one_dockerd(pod: FakePod) -> None:
    sessions = [pod.begin(attempt, "--fake-slow") for attempt in (0, 0, 1, 0)]

    outcomes = [events(session.communicate(timeout=30)[0])[-1] for session in sessions]

    assert {outcome["event"] for outcome in outcomes} == {"ready"}
    assert len({outcome["pid"] for outcome in outcomes}) == 1
    assert pod.runs("dockerd") == 1


def test_crash_is_reported_with_stdout_and_stderr(pod: FakePod) -> None:
    (pod.fake / "last-words").write_text("failed to start daemon: boom\n")

    failed = pod.start(0, "--fake-crash", timeout="20")[-1]

    assert (failed["cause"], failed["exitCode"]) == ("Exited", 3)
    assert failed["stderr"] == "failed to start daemon: boom\n"
    assert failed["stdout"] == "said on stdout\n"
    assert len(failed["capEff"]) == 16


def test_report_contains_the_tail_of_binary_output(pod: FakePod) -> None:
    (pod.fake / "last-words").write_bytes(b'"\\\n\x00\xff' * 4000 + b"the end")

    failed = pod.start(0, "--fake-crash")[-1]

    assert failed["stderr"].endswith("the end")
    assert len(failed["stderr"]) == 4096


def test_failed_attempt_is_not_restarted(pod: FakePod) -> None:
    (pod.fake / "last-words").write_text("boom\n")
    first = pod.start(0, "--fake-crash")[-1]

    assert pod.start(0)[-1] == first
    assert pod.runs("dockerd") == 1


def test_exit_code_of_a_killed_dockerd_contains_the_signal(pod: FakePod) -> None:
    pod.kill(pod.start()[-1]["pid"])
    wait_for((pod.state / "start-0/exit").exists)

    failed = pod.start()[-1]

    assert (failed["cause"], failed["exitCode"]) == ("Exited", 128 + signal.SIGKILL)


def test_dockerd_stays_ready_after_its_supervisor_was_killed(pod: FakePod) -> None:
    ready = pod.start()[-1]
    for supervisor in pod.processes(SUPERVISOR):
        pod.kill(supervisor)

    assert pod.start()[-1] == ready

    pod.kill_and_wait(ready["pid"])
    failed = pod.start()[-1]
    assert failed["cause"] == "Exited"
    assert "exitCode" not in failed


def test_supervisor_survives_sighup_and_records_the_exit_code(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    for supervisor in pod.processes(SUPERVISOR):
        pod.kill(supervisor, signal.SIGHUP)

    ignored = re.search(r"SigIgn:\s*(\w+)", pod.run("cat", f"/proc/{pid}/status").stdout)
    assert ignored
    assert not int(ignored[1], 16) & 1, "containers would ignore it too"
    pod.kill(pid, signal.SIGTERM)
    wait_for((pod.state / "start-0/exit").exists)
    assert pod.start()[-1]["exitCode"] == 128 + signal.SIGTERM


def test_next_session_continues_after_a_killed_session(pod: FakePod) -> None:
    session = pod.begin(0, "--fake-slow")
    wait_for((pod.state / "start-0/daemon").exists)
    for process in pod.processes("libexec/sandbox"):
        pod.kill(process)
    session.wait()

    assert pod.start(0)[-1]["event"] == "ready"
    assert pod.runs("dockerd") == 1


def test_abandoned_attempt_is_resumed(pod: FakePod) -> None:
    pod.run("mkdir", "-p", "/run/caisson/start-0")

    assert pod.start(0)[-1]["event"] == "ready"


def test_dockerd_is_ended_at_the_start_timeout(pod: FakePod) -> None:
    failed = pod.start(0, "--fake-silence", timeout="1")[-1]

    assert failed["cause"] == "TimedOut"
    assert failed["exitCode"] == 128 + signal.SIGTERM
    assert dockerds(pod) == 0
    assert pod.start(0)[-1]["cause"] == "TimedOut"


def test_option_of_a_newer_operator_is_ignored(pod: FakePod) -> None:
    assert pod.start(colour="blue")[-1]["event"] == "ready"


def test_report_of_a_timeout_contains_the_last_error(pod: FakePod) -> None:
    (pod.fake / "refusals").write_text("100000\n")

    failed = pod.start(0, timeout="1")[-1]

    assert failed["cause"] == "TimedOut"
    assert failed["detail"].startswith("dial unix /var/run/docker.sock")


def test_session_ends_before_a_long_start_and_the_next_continues_it(pod: FakePod) -> None:
    (pod.fake / "refusals").write_text("100000\n")

    assert pod.start(0, wait="1", timeout="60")[-1] == {"event": "continues"}
    (pod.fake / "refusals").write_text("0\n")

    assert pod.start(0, wait="20", timeout="60")[-1]["event"] == "ready"
    assert pod.runs("dockerd") == 1


def test_next_attempt_after_a_failure_starts_a_new_dockerd(pod: FakePod) -> None:
    pod.start(0, "--fake-silence", timeout="1")

    ready = pod.start(1)[-1]

    assert (ready["event"], ready["attempt"]) == ("ready", 1)
    assert dockerds(pod) == 1


def test_image_without_docker_is_reported(pod: FakePod) -> None:
    failed = pod.start(from_="Image")[-1]

    assert (failed["cause"], failed["exitCode"]) == ("DockerNotFound", 127)
    assert "dockerd: not found" in failed["stderr"]


def install_docker_in_image(pod: FakePod) -> None:
    (pod.root / "usr/local/bin").mkdir(parents=True)
    (pod.root / "usr/local/bin/dockerd").write_bytes((pod.root / "opt/caisson/bin/dockerd").read_bytes())
    (pod.root / "usr/local/bin/dockerd").chmod(0o755)


def test_image_with_docker_runs_its_own_dockerd(pod: FakePod) -> None:
    install_docker_in_image(pod)

    assert pod.start(from_="Image")[-1]["event"] == "ready"
    assert pod.processes("/usr/local/bin/dockerd")
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in environment_of(pod, "dockerd")


def forbid_packet_writes(pod: FakePod) -> None:
    with (pod.root / "opt/caisson/libexec/lib/uplink.sh").open("a") as library:
        library.write("write_packet() { echo 'Sent 0 probe(s)'; return 1; }\n")


@pytest.mark.parametrize(("version", "outcome"), [("27.5.1", 0), ("28.0.0", 1), ("29.1", 1), ("nonsense", 0)])
def test_docker_28_of_an_image_requires_packet_socket_writes(pod: FakePod, version: str, outcome: int) -> None:
    install_docker_in_image(pod)
    forbid_packet_writes(pod)
    (pod.fake / "info").write_text(f'{{"serverVersion":"{version}"}}\n')

    result = pod.script("sandbox", *start_arguments(from_="Image"))

    assert result.returncode == outcome
    if outcome:
        failed = events(result.stdout)[-1]
        assert (failed["cause"], failed["detail"]) == ("PacketSocketWriteMissing", "Sent 0 probe(s)\n")
        assert not pod.processes(DOCKERD)


def test_toolbox_docker_without_needs_is_not_checked(pod: FakePod) -> None:
    forbid_packet_writes(pod)
    (pod.fake / "info").write_text('{"serverVersion":"29.1"}\n')

    assert pod.start()[-1]["event"] == "ready"


def test_exit_code_reflects_the_outcome(pod: FakePod) -> None:
    assert pod.script("sandbox", *start_arguments(0, "--fake-crash")).returncode == 1
    assert pod.script("sandbox", *start_arguments(1)).returncode == 0


def test_start_in_another_pod_is_rejected(pod: FakePod) -> None:
    failed = pod.start(pod_uid="another")[-1]

    assert failed["cause"] == "WrongPod"
    assert pod.runs("dockerd") == 0


@pytest.mark.parametrize("uid", ["", None])
def test_start_in_a_pod_without_its_uid_is_rejected(pod: FakePod, uid: str | None) -> None:
    env = {"CAISSON_POD_UID": uid} if uid is not None else {"CAISSON_POD_UID": "x"}

    assert pod.start(env=env)[-1]["cause"] == "WrongPod"


def test_dockerd_is_not_started_on_another_kernel(pod: FakePod) -> None:
    check = pod.root / "opt/caisson/libexec/lib/kernel.sh"
    check.write_text("kernel_is_gvisor() { kernel_name=Linux; return 1; }\n")

    failed = pod.start()

    assert [event["cause"] for event in failed] == ["NotGVisor"]
    assert pod.runs("dockerd") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no verb"),
        pytest.param(["stop", "--pod-uid", "x"], id="unknown verb"),
        pytest.param(["verify"], id="no pod"),
        pytest.param([*start_arguments()[:-1], "--tmpfs", "4Gi"], id="size is not a number"),
        pytest.param(["start", "--pod-uid", "x", "--attempt", "-1"], id="negative attempt"),
        pytest.param(["start", "--pod-uid", "x", "colour", "blue"], id="not an option"),
        pytest.param(["start", "--pod-uid"], id="no value"),
        pytest.param(start_arguments(needs="PacketSocketWrite,Luck"), id="unknown need"),
        pytest.param(start_arguments(pod_log="maybe"), id="neither yes nor no"),
    ],
)
def test_invalid_arguments_exit_with_2_and_no_report(pod: FakePod, arguments: list[str]) -> None:
    result = pod.script("sandbox", *arguments)

    assert result.returncode == 2
    assert result.stdout == ""


def test_flags_are_passed_to_dockerd_unchanged(pod: FakePod) -> None:
    pod.start(0, "--label", "a b;$(touch /fake/injected)", "--x='")

    assert (pod.fake / "dockerd.arguments").read_text() == "--label\na b;$(touch /fake/injected)\n--x='\n"
    assert not (pod.fake / "injected").exists()


def test_dockerd_does_not_hold_the_lock_or_the_exec_session(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]

    assert pod.run("sh", "-c", "exec /opt/caisson/bin/flock -n 9 9>/run/caisson/lock").returncode == 0
    open_files = pod.run("sh", "-c", f"readlink /proc/{pid}/fd/*").stdout
    assert "/run/caisson/lock" not in open_files
    assert "pipe:" not in open_files
    session = pod.run("cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()[3]
    assert session != "0", "dockerd must run in its own session"


def environment_of(pod: FakePod, program: str) -> list[str]:
    return (pod.fake / f"{program}.environment").read_text().split("\0")


def test_dockerd_gets_the_proxy_but_no_client_settings(pod: FakePod) -> None:
    pod.start(env={"HTTPS_PROXY": "http://proxy:3128", "DOCKER_HOST": "tcp://elsewhere", "DOCKER_TLS_VERIFY": "1"})

    daemon = environment_of(pod, "dockerd")

    assert "HTTPS_PROXY=http://proxy:3128" in daemon
    assert not [entry for entry in daemon if entry.startswith(("DOCKER_HOST", "DOCKER_TLS"))]


def test_dockerd_uses_toolbox_certificates_if_the_image_has_none(pod: FakePod) -> None:
    pod.start()

    assert "SSL_CERT_FILE=/opt/caisson/etc/ca-certificates.crt" in environment_of(pod, "dockerd")


def test_certificates_of_the_image_take_precedence(pod: FakePod) -> None:
    (pod.root / "etc/ssl").mkdir(parents=True)
    (pod.root / "etc/ssl/cert.pem").touch()

    pod.start()

    assert not [entry for entry in environment_of(pod, "dockerd") if entry.startswith("SSL_CERT")]


def test_commands_are_linked_into_the_path(pod: FakePod) -> None:
    pod.start()

    wait_for((pod.root / "usr/local/lib/docker/cli-plugins/docker-compose").is_symlink)
    assert (pod.root / "usr/local/bin/docker").readlink() == Path("/opt/caisson/bin/docker")
    assert (pod.root / "usr/local/bin/busybox").readlink() == Path("/opt/caisson/bin/busybox")


def test_commands_of_the_image_take_precedence(pod: FakePod) -> None:
    (pod.root / "usr/bin").mkdir(parents=True)
    (pod.root / "usr/bin/docker").write_text("the image's")
    (pod.root / "usr/bin/docker").chmod(0o755)

    pod.start()

    wait_for((pod.root / "usr/local/bin/busybox").is_symlink)
    assert not (pod.root / "usr/local/bin/docker").is_symlink()


def test_commands_are_linked_into_the_first_path_directory(pod: FakePod) -> None:
    pod.start(env={"PATH": "/app/bin:/bin"})

    wait_for((pod.root / "app/bin/docker").is_symlink)


def test_an_unknown_verb_starts_nothing(pod: FakePod) -> None:
    result = pod.script("sandbox", "status", "--pod-uid", start_arguments()[2])

    assert (result.returncode, result.stdout) == (2, "")
    assert "unknown verb status" in result.stderr
    assert pod.runs("dockerd") == 0


def test_origin_of_the_toolbox_is_reported(pod: FakePod) -> None:
    (pod.root / "opt/caisson/etc").mkdir()
    (pod.root / "opt/caisson/etc/origin").write_text('Debian 13 (trixie), "docker.io" $(id) `id` \\\nsecond line\n')

    origin = 'Debian 13 (trixie), "docker.io" $(id) `id` \\\n'
    assert pod.start()[-1]["origin"] == origin
    assert pod.start()[-1]["origin"] == origin, "a later session must report it too"


def test_origin_is_limited_and_not_reported_for_an_image(pod: FakePod) -> None:
    install_docker_in_image(pod)
    (pod.root / "opt/caisson/etc").mkdir()
    (pod.root / "opt/caisson/etc/origin").write_text("x" * 1000 + "\n")

    assert "origin" not in pod.start(from_="Image")[-1]
    pod.kill(pod.processes(DOCKERD)[0])
    wait_for((pod.state / "start-0/exit").exists)
    assert pod.start(1)[-1]["origin"] == "x" * 200 + "\n"


def test_answer_of_dockerd_is_limited(pod: FakePod) -> None:
    (pod.fake / "info").write_text('{"serverVersion":"26.1.5"' + "x" * 100000 + "\n")

    assert len(pod.start()[-1]["info"]) == 2048


def test_state_is_accessible_to_root_only(pod: FakePod) -> None:
    pod.start()

    assert pod.state.stat().st_mode & 0o777 == 0o700


def test_forged_state_is_not_included_in_reports(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/ready").write_text('1 0 - "},{"x":"\n')
    (pod.state / "start-0/facts").write_text('- "},{"x":"\n')
    (pod.state / "start-0/failed").write_text('"}\n')

    result = pod.script("sandbox", *start_arguments())

    assert events(result.stdout)[-1]["event"] == "ready"


def test_incomplete_line_in_a_state_file_is_ignored(pod: FakePod) -> None:
    """A file can be read before its writer has finished, or be incomplete because the disk was full."""
    pod.start()
    (pod.state / "start-0/failed").write_text("Exited")

    assert pod.start()[-1]["event"] == "ready"


class TestGVisorProfile:
    @pytest.fixture
    def online(self, pod: FakePod) -> FakePod:
        """A pod with an uplink. The loopback interface represents it, because it exists on every kernel."""
        for command in (
            "link set lo mtu 1400 up",
            "addr del 127.0.0.1/8 dev lo",
            "addr add 10.7.0.2/24 dev lo",
            "route add default via 10.7.0.1 dev lo",
        ):
            pod.run("ip", *command.split())
        return pod

    def test_dockerd_gets_the_flags_for_gvisor_and_the_mtu(self, online: FakePod) -> None:
        ready = online.start(0, "--debug", profile="GVisor")[-1]

        arguments = (online.fake / "dockerd.arguments").read_text().split()
        assert arguments == [
            "--iptables=false", "--ip6tables=false", "--mtu", "1400",
            "--containerd", "/run/caisson/containerd.sock", "--debug",
        ]  # fmt: skip
        assert ready["uplinkMtu"] == 1400

    def test_mtus_are_reported_with_the_bare_profile(self, online: FakePod) -> None:
        for command in ("link add docker0 type bridge", "link set docker0 mtu 1280"):
            online.run("ip", *command.split())

        ready = online.start(profile="Bare")[-1]

        assert (ready["uplinkMtu"], ready["bridgeMtu"]) == (1400, 1280)

    def test_bridge_mtu_is_omitted_without_a_bridge(self, online: FakePod) -> None:
        assert "bridgeMtu" not in online.start(profile="GVisor")[-1]

    def test_needs_are_checked_before_dockerd_starts(self, online: FakePod) -> None:
        forbid_packet_writes(online)

        failed = online.start(profile="GVisor", needs="PacketSocketWrite")[-1]

        assert (failed["cause"], failed["detail"]) == ("PacketSocketWriteMissing", "Sent 0 probe(s)\n")
        assert online.runs("dockerd") == 0
        wait_for(lambda: not online.processes("containerd"))

    def test_unneeded_features_are_not_checked(self, online: FakePod) -> None:
        forbid_packet_writes(online)

        assert online.start(profile="GVisor", needs="")[-1]["event"] == "ready"

    def test_nat_and_forwarding_rules_are_added_once(self, online: FakePod) -> None:
        online.start(0, "--fake-crash", profile="GVisor")
        online.start(1, profile="GVisor")

        assert (online.fake / "iptables.rules").read_text().splitlines() == [
            *(f"-A POSTROUTING -o lo -p {protocol} -j SNAT --to-source 10.7.0.2" for protocol in ("tcp", "udp")),
            "-A FORWARD -o lo -j ACCEPT",
            "-A FORWARD -i lo -j ACCEPT",
            "-A FORWARD -i docker0 -o docker0 -j DROP",
            "-A FORWARD -o docker0 -j ACCEPT",
            "-A FORWARD -j DROP",
        ]
        assert online.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout == "1\n"

    def test_failing_iptables_fails_the_start_and_ends_dockerd(self, online: FakePod) -> None:
        (online.fake / "iptables.error").write_text("Table does not exist\n")

        failed = online.start(profile="GVisor")[-1]

        assert failed["cause"] == "PrepareFailed"
        assert "Table does not exist" in failed["detail"]
        wait_for(lambda: not dockerds(online))

    def test_docker_starts_in_a_pod_without_network(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]

        assert ready["event"] == "ready"
        assert "uplinkMtu" not in ready

    def test_dockerd_is_not_started_without_net_raw(self, pod: FakePod) -> None:
        failed = pod.start(profile="GVisor", drop="net_raw")[-1]

        assert failed["cause"] == "NetRawMissing"
        assert int(failed["capEff"], 16) >> 13 & 1 == 0
        assert pod.runs("dockerd") == 0

    def test_bare_profile_does_not_require_net_raw(self, pod: FakePod) -> None:
        assert pod.start(profile="Bare", drop="net_raw")[-1]["event"] == "ready"
        assert (pod.fake / "dockerd.arguments").read_text().split() == []

    def test_memory_storage_is_mounted_once(self, pod: FakePod) -> None:
        command = ["sandbox", *start_arguments(profile="GVisor")[:-1], "--tmpfs", "1048576", "--"]
        pod.script(*command, "--fake-crash")
        command[command.index("--attempt") + 1] = "1"
        assert events(pod.script(*command).stdout)[-1]["event"] == "ready"

        mounts = pod.run("cat", "/proc/mounts").stdout
        assert mounts.count(" /var/lib/docker tmpfs") == 1
        assert "size=1024k" in mounts

    def test_containerd_is_restarted_until_dockerd_ends(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]
        wait_for(lambda: pod.runs("containerd") == 1)

        pod.kill(pod.processes("bin/containerd")[0])
        wait_for(lambda: pod.runs("containerd") == 2)

        pod.kill(ready["pid"])
        wait_for(lambda: not pod.processes("containerd"))

    def test_leftovers_of_an_earlier_attempt_are_removed(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]
        wait_for(lambda: pod.runs("containerd") == 1)
        (pod.root / "run/docker.pid").write_text(str(ready["pid"]))
        pod.kill_and_wait(*pod.processes(SUPERVISOR), ready["pid"])

        assert pod.start(1, profile="GVisor")[-1]["event"] == "ready"
        assert len(pod.processes("bin/containerd")) == 1
        assert not (pod.root / "run/docker.pid").exists()

    def test_foreign_pid_file_is_preserved(self, pod: FakePod) -> None:
        (pod.root / "run").mkdir(exist_ok=True)
        (pod.root / "run/docker.pid").write_text("1")

        pod.start(profile="GVisor")

        assert (pod.root / "run/docker.pid").exists()


def test_exec_session_is_not_held_open_by_dockerd(pod: FakePod) -> None:
    """An exec session ends when the last process that holds its stdout has ended."""
    result = subprocess.run(
        pod.argv("sh", f"{LIBEXEC}/sandbox", *start_arguments()), stdout=subprocess.PIPE, timeout=20, check=False
    )

    assert result.returncode == 0
    assert INFO["driver"] in str(events(result.stdout.decode())[-1]["info"])
