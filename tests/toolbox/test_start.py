"""`sandbox start`: at most one dockerd, and a report of how it goes, whatever is asked how often and by whom."""

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


def test_a_start_is_told_step_by_step(pod: FakePod) -> None:
    isolated, started, ready = pod.start()

    assert [isolated["event"], started["event"], ready["event"]] == ["isolated", "started", "ready"]
    assert (ready["pid"], ready["startTime"]) == (started["pid"], started["startTime"])
    assert pod.run("cat", f"/proc/{ready['pid']}/stat").stdout.split(")")[1].split()[19] == str(ready["startTime"])
    assert ready["info"] == '{"serverVersion":"26.1.5","driver":"overlay2"}\n'
    assert ready["retryCount"] == 0


def test_refused_questions_are_counted(pod: FakePod) -> None:
    (pod.fake / "refusals").write_text("2\n")

    assert pod.start()[-1]["retryCount"] == 2


def test_starting_twice_is_a_no_op_and_tells_the_same(pod: FakePod) -> None:
    first = pod.start()
    second = pod.start()

    assert second == first
    assert pod.runs("dockerd") == 1


def test_a_late_session_of_an_early_attempt_gets_the_latest(pod: FakePod) -> None:
    pod.start(0, "--fake-crash")
    pod.start(3)

    assert pod.start(1)[-1]["attempt"] == 3
    assert pod.runs("dockerd") == 2


def test_a_new_attempt_never_joins_a_dockerd_that_lives(pod: FakePod) -> None:
    pod.start(0)

    assert pod.start(1)[-1]["attempt"] == 0
    assert pod.runs("dockerd") == 1


def test_many_sessions_at_once_start_one_dockerd(pod: FakePod) -> None:
    sessions = [pod.begin(attempt, "--fake-slow") for attempt in (0, 0, 1, 0)]

    outcomes = [events(session.communicate(timeout=30)[0])[-1] for session in sessions]

    assert {outcome["event"] for outcome in outcomes} == {"ready"}
    assert len({outcome["pid"] for outcome in outcomes}) == 1
    assert pod.runs("dockerd") == 1


def test_a_crash_is_reported_at_once_with_both_streams(pod: FakePod) -> None:
    (pod.fake / "last-words").write_text("failed to start daemon: boom\n")

    failed = pod.start(0, "--fake-crash", timeout="20")[-1]

    assert (failed["cause"], failed["exitCode"]) == ("Exited", 3)
    assert failed["stderr"] == "failed to start daemon: boom\n"
    assert failed["stdout"] == "said on stdout\n"
    assert len(failed["capEff"]) == 16


def test_the_tail_is_kept_and_any_bytes_make_valid_json(pod: FakePod) -> None:
    (pod.fake / "last-words").write_bytes(b'"\\\n\x00\xff' * 4000 + b"the end")

    failed = pod.start(0, "--fake-crash")[-1]

    assert failed["stderr"].endswith("the end")
    assert len(failed["stderr"]) == 4096


def test_a_dead_attempt_stays_as_it_was(pod: FakePod) -> None:
    (pod.fake / "last-words").write_text("boom\n")
    first = pod.start(0, "--fake-crash")[-1]

    assert pod.start(0)[-1] == first
    assert pod.runs("dockerd") == 1


def test_a_killed_dockerd_has_the_signal_in_its_exit_code(pod: FakePod) -> None:
    pod.kill(pod.start()[-1]["pid"])
    wait_for((pod.state / "start-0/exit").exists)

    failed = pod.start()[-1]

    assert (failed["cause"], failed["exitCode"]) == ("Exited", 128 + signal.SIGKILL)


def test_a_killed_supervisor_leaves_dockerd_and_its_readiness(pod: FakePod) -> None:
    ready = pod.start()[-1]
    for supervisor in pod.processes(SUPERVISOR):
        pod.kill(supervisor)

    assert pod.start()[-1] == ready

    pod.put_to_death(ready["pid"])
    failed = pod.start()[-1]
    assert failed["cause"] == "Exited"
    assert "exitCode" not in failed


def test_a_hang_up_ends_neither_the_supervisor_nor_what_it_knows(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    for supervisor in pod.processes(SUPERVISOR):
        pod.kill(supervisor, signal.SIGHUP)

    ignored = re.search(r"SigIgn:\s*(\w+)", pod.run("cat", f"/proc/{pid}/status").stdout)
    assert ignored
    assert not int(ignored[1], 16) & 1, "containers would ignore it too"
    pod.kill(pid, signal.SIGTERM)
    wait_for((pod.state / "start-0/exit").exists)
    assert pod.start()[-1]["exitCode"] == 128 + signal.SIGTERM


def test_a_session_may_be_killed_and_the_next_goes_on(pod: FakePod) -> None:
    session = pod.begin(0, "--fake-slow")
    wait_for((pod.state / "start-0/daemon").exists)
    for process in pod.processes("libexec/sandbox"):
        pod.kill(process)
    session.wait()

    assert pod.start(0)[-1]["event"] == "ready"
    assert pod.runs("dockerd") == 1


def test_an_attempt_that_nobody_works_on_is_taken_up_again(pod: FakePod) -> None:
    pod.run("mkdir", "-p", "/run/caisson/start-0")

    assert pod.start(0)[-1]["event"] == "ready"


def test_a_dockerd_that_does_not_come_up_in_time_is_ended(pod: FakePod) -> None:
    failed = pod.start(0, "--fake-silence", timeout="1")[-1]

    assert failed["cause"] == "TimedOut"
    assert failed["exitCode"] == 128 + signal.SIGTERM
    assert dockerds(pod) == 0
    assert pod.start(0)[-1]["cause"] == "TimedOut"


def test_an_option_of_a_newer_operator_is_passed_over(pod: FakePod) -> None:
    assert pod.start(colour="blue")[-1]["event"] == "ready"


def test_an_answer_without_a_version_is_nobodys(pod: FakePod) -> None:
    """docker exits with 0 where it gets no answer, if it was given a format."""
    (pod.fake / "info").write_text('{"serverVersion":"","driver":""}\n')

    assert pod.start(0, timeout="1")[-1]["cause"] == "TimedOut"


def test_what_docker_said_last_is_told_after_a_timeout(pod: FakePod) -> None:
    (pod.fake / "refusals").write_text("100000\n")

    failed = pod.start(0, timeout="1")[-1]

    assert failed["cause"] == "TimedOut"
    assert failed["detail"].startswith("Cannot connect to the Docker daemon")


def test_after_a_failure_the_next_attempt_starts_a_new_one(pod: FakePod) -> None:
    pod.start(0, "--fake-silence", timeout="1")

    ready = pod.start(1)[-1]

    assert (ready["event"], ready["attempt"]) == ("ready", 1)
    assert dockerds(pod) == 1


def test_an_image_without_docker_is_told_so(pod: FakePod) -> None:
    failed = pod.start(from_="Image")[-1]

    assert (failed["cause"], failed["exitCode"]) == ("DockerNotFound", 127)
    assert "dockerd: not found" in failed["stderr"]


def install_docker_in_image(pod: FakePod) -> None:
    (pod.root / "usr/local/bin").mkdir(parents=True)
    (pod.root / "usr/local/bin/dockerd").write_bytes((pod.root / "opt/caisson/bin/dockerd").read_bytes())
    (pod.root / "usr/local/bin/dockerd").chmod(0o755)


def test_an_image_with_docker_runs_its_own(pod: FakePod) -> None:
    install_docker_in_image(pod)

    assert pod.start(from_="Image")[-1]["event"] == "ready"
    assert pod.processes("/usr/local/bin/dockerd")
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in environment_of(pod, "dockerd")


def forbid_packet_writes(pod: FakePod) -> None:
    with (pod.root / "opt/caisson/libexec/lib/uplink.sh").open("a") as library:
        library.write("write_packet() { echo 'Sent 0 probe(s)'; return 1; }\n")


@pytest.mark.parametrize(("version", "outcome"), [("27.5.1", 0), ("28.0.0", 1), ("29.1", 1), ("nonsense", 0)])
def test_packet_sockets_must_be_writable_for_an_images_docker_from_28_on(
    pod: FakePod, version: str, outcome: int
) -> None:
    install_docker_in_image(pod)
    forbid_packet_writes(pod)
    (pod.fake / "info").write_text(f'{{"serverVersion":"{version}"}}\n')

    done = pod.script("sandbox", *start_arguments(from_="Image"))

    assert done.returncode == outcome
    if outcome:
        failed = events(done.stdout)[-1]
        assert (failed["cause"], failed["detail"]) == ("PacketSocketWriteMissing", "Sent 0 probe(s)\n")
        assert not pod.processes(DOCKERD)


def test_a_toolbox_that_does_not_need_packet_sockets_is_not_asked_for_its_version(pod: FakePod) -> None:
    forbid_packet_writes(pod)
    (pod.fake / "info").write_text('{"serverVersion":"29.1"}\n')

    assert pod.start()[-1]["event"] == "ready"


def test_the_outcome_is_in_the_exit_code_too(pod: FakePod) -> None:
    assert pod.script("sandbox", *start_arguments(0, "--fake-crash")).returncode == 1
    assert pod.script("sandbox", *start_arguments(1)).returncode == 0


def test_another_pod_of_that_name_is_left_alone(pod: FakePod) -> None:
    failed = pod.start(pod_uid="another")[-1]

    assert failed["cause"] == "WrongPod"
    assert pod.runs("dockerd") == 0


@pytest.mark.parametrize("uid", ["", None])
def test_a_pod_that_does_not_know_its_uid_is_the_wrong_one(pod: FakePod, uid: str | None) -> None:
    env = {"CAISSON_POD_UID": uid} if uid is not None else {"CAISSON_POD_UID": "x"}

    assert pod.start(env=env)[-1]["cause"] == "WrongPod"


def test_on_another_kernel_nothing_is_started(pod: FakePod) -> None:
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
        pytest.param([*start_arguments()[:-1], "--tmpfs", "4Gi"], id="a size that is no number"),
        pytest.param(["start", "--pod-uid", "x", "--attempt", "-1"], id="a negative attempt"),
        pytest.param(["start", "--pod-uid", "x", "colour", "blue"], id="not an option"),
        pytest.param(["start", "--pod-uid"], id="no value"),
        pytest.param(start_arguments(needs="PacketSocketWrite,Luck"), id="an unknown need"),
        pytest.param(start_arguments(pod_log="maybe"), id="neither yes nor no"),
    ],
)
def test_a_wrong_call_is_neither_success_nor_failure(pod: FakePod, arguments: list[str]) -> None:
    done = pod.script("sandbox", *arguments)

    assert done.returncode == 2
    assert done.stdout == ""


def test_flags_reach_dockerd_as_they_are(pod: FakePod) -> None:
    pod.start(0, "--label", "a b;$(touch /fake/injected)", "--x='")

    assert (pod.fake / "dockerd.arguments").read_text() == "--label\na b;$(touch /fake/injected)\n--x='\n"
    assert not (pod.fake / "injected").exists()


def test_dockerd_keeps_neither_lock_nor_the_session_of_the_exec(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]

    assert pod.run("sh", "-c", "exec /opt/caisson/bin/flock -n 9 9>/run/caisson/lock").returncode == 0
    held = pod.run("sh", "-c", f"readlink /proc/{pid}/fd/*").stdout
    assert "/run/caisson/lock" not in held
    assert "pipe:" not in held
    assert pod.run("cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()[3] != "0", "a session of its own"


def environment_of(pod: FakePod, program: str) -> list[str]:
    return (pod.fake / f"{program}.environment").read_text().split("\0")


def test_dockerd_gets_the_proxy_but_nothing_that_is_meant_for_clients(pod: FakePod) -> None:
    pod.start(env={"HTTPS_PROXY": "http://proxy:3128", "DOCKER_HOST": "tcp://elsewhere", "DOCKER_TLS_VERIFY": "1"})

    daemon, client = environment_of(pod, "dockerd"), environment_of(pod, "docker")

    assert "HTTPS_PROXY=http://proxy:3128" in daemon
    assert not [entry for entry in daemon + client if entry.startswith(("DOCKER_HOST", "DOCKER_TLS"))]


def test_dockerd_is_told_of_certificates_where_the_image_has_none(pod: FakePod) -> None:
    pod.start()

    assert "SSL_CERT_FILE=/opt/caisson/etc/ca-certificates.crt" in environment_of(pod, "dockerd")


def test_the_certificates_of_the_image_are_preferred(pod: FakePod) -> None:
    (pod.root / "etc/ssl").mkdir(parents=True)
    (pod.root / "etc/ssl/cert.pem").touch()

    pod.start()

    assert not [entry for entry in environment_of(pod, "dockerd") if entry.startswith("SSL_CERT")]


def test_commands_are_offered_on_the_path(pod: FakePod) -> None:
    pod.start()

    wait_for((pod.root / "usr/local/lib/docker/cli-plugins/docker-compose").is_symlink)
    assert (pod.root / "usr/local/bin/docker").readlink() == Path("/opt/caisson/bin/docker")
    assert (pod.root / "usr/local/bin/busybox").readlink() == Path("/opt/caisson/bin/busybox")


def test_what_the_image_has_itself_stays_what_is_found(pod: FakePod) -> None:
    (pod.root / "usr/bin").mkdir(parents=True)
    (pod.root / "usr/bin/docker").write_text("the image's")
    (pod.root / "usr/bin/docker").chmod(0o755)

    pod.start()

    wait_for((pod.root / "usr/local/bin/busybox").is_symlink)
    assert not (pod.root / "usr/local/bin/docker").is_symlink()


def test_commands_go_where_the_path_leads(pod: FakePod) -> None:
    pod.start(env={"PATH": "/app/bin:/bin"})

    wait_for((pod.root / "app/bin/docker").is_symlink)


def test_an_unknown_verb_starts_nothing(pod: FakePod) -> None:
    result = pod.script("sandbox", "status", "--pod-uid", start_arguments()[2])

    assert (result.returncode, result.stdout) == (2, "")
    assert "unknown verb status" in result.stderr
    assert pod.runs("dockerd") == 0


def test_where_the_toolboxs_docker_came_from_is_told(pod: FakePod) -> None:
    (pod.root / "opt/caisson/etc").mkdir()
    (pod.root / "opt/caisson/etc/origin").write_text('Debian 13 (trixie), "docker.io" $(id) `id` \\\nnot this\n')

    told = 'Debian 13 (trixie), "docker.io" $(id) `id` \\\n'
    assert pod.start()[-1]["origin"] == told
    assert pod.start()[-1]["origin"] == told, "by a later session too"


def test_an_origin_is_not_told_of_an_images_docker_and_never_long(pod: FakePod) -> None:
    install_docker_in_image(pod)
    (pod.root / "opt/caisson/etc").mkdir()
    (pod.root / "opt/caisson/etc/origin").write_text("x" * 1000 + "\n")

    assert "origin" not in pod.start(from_="Image")[-1]
    pod.kill(pod.processes(DOCKERD)[0])
    wait_for((pod.state / "start-0/exit").exists)
    assert pod.start(1)[-1]["origin"] == "x" * 200 + "\n"


def test_what_docker_says_is_bounded(pod: FakePod) -> None:
    (pod.fake / "info").write_text('{"serverVersion":"26.1.5"' + "x" * 100000 + "\n")

    assert len(pod.start()[-1]["info"]) == 2048


def test_the_state_is_for_root_alone(pod: FakePod) -> None:
    pod.start()

    assert pod.state.stat().st_mode & 0o777 == 0o700


def test_forged_or_broken_state_is_never_echoed(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/ready").write_text('1 0 - "},{"x":"\n')
    (pod.state / "start-0/facts").write_text('- "},{"x":"\n')
    (pod.state / "start-0/exit").write_text('"}\n')

    done = pod.script("sandbox", *start_arguments())

    assert events(done.stdout)[-1]["event"] == "ready"


def test_half_a_line_is_no_line(pod: FakePod) -> None:
    """A reader may come between the opening and the writing of a file, or see a torn one after a full disk."""
    pod.start()
    (pod.state / "start-0/exit").write_text("13")

    assert pod.start()[-1]["event"] == "ready"


class TestOnGVisorsProfile:
    @pytest.fixture
    def online(self, pod: FakePod) -> FakePod:
        """A pod with an uplink: its loopback has to do, for it is there on any kernel."""
        for command in (
            "link set lo mtu 1400 up",
            "addr del 127.0.0.1/8 dev lo",
            "addr add 10.7.0.2/24 dev lo",
            "route add default via 10.7.0.1 dev lo",
        ):
            pod.run("ip", *command.split())
        return pod

    def test_dockerd_gets_the_flags_that_work_and_the_uplinks_mtu(self, online: FakePod) -> None:
        ready = online.start(0, "--debug", profile="GVisor")[-1]

        arguments = (online.fake / "dockerd.arguments").read_text().split()
        assert arguments == [
            "--iptables=false", "--ip6tables=false", "--mtu", "1400",
            "--containerd", "/run/caisson/containerd.sock", "--debug",
        ]  # fmt: skip
        assert ready["uplinkMtu"] == 1400

    def test_the_mtus_are_told_whatever_the_profile(self, online: FakePod) -> None:
        for command in ("link add docker0 type bridge", "link set docker0 mtu 1280"):
            online.run("ip", *command.split())

        ready = online.start(profile="Bare")[-1]

        assert (ready["uplinkMtu"], ready["bridgeMtu"]) == (1400, 1280)

    def test_no_bridge_has_no_mtu(self, online: FakePod) -> None:
        assert "bridgeMtu" not in online.start(profile="GVisor")[-1]

    def test_what_dockerd_needs_is_looked_for_before_it_is_started(self, online: FakePod) -> None:
        forbid_packet_writes(online)

        failed = online.start(profile="GVisor", needs="PacketSocketWrite")[-1]

        assert (failed["cause"], failed["detail"]) == ("PacketSocketWriteMissing", "Sent 0 probe(s)\n")
        assert online.runs("dockerd") == 0
        wait_for(lambda: not online.processes("containerd"))

    def test_what_dockerd_does_not_need_may_be_missing(self, online: FakePod) -> None:
        forbid_packet_writes(online)

        assert online.start(profile="GVisor", needs="")[-1]["event"] == "ready"

    def test_both_protocols_are_translated_and_detours_forbidden_once(self, online: FakePod) -> None:
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

    def test_no_translation_is_a_failure_that_leaves_no_dockerd(self, online: FakePod) -> None:
        (online.fake / "iptables.error").write_text("Table does not exist\n")

        failed = online.start(profile="GVisor")[-1]

        assert failed["cause"] == "PrepareFailed"
        assert "Table does not exist" in failed["detail"]
        wait_for(lambda: not dockerds(online))

    def test_a_pod_without_network_has_docker_all_the_same(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]

        assert ready["event"] == "ready"
        assert "uplinkMtu" not in ready

    def test_without_net_raw_dockerd_is_not_even_started(self, pod: FakePod) -> None:
        failed = pod.start(profile="GVisor", drop="net_raw")[-1]

        assert failed["cause"] == "NetRawMissing"
        assert int(failed["capEff"], 16) >> 13 & 1 == 0
        assert pod.runs("dockerd") == 0

    def test_the_bare_profile_does_not_mind(self, pod: FakePod) -> None:
        assert pod.start(profile="Bare", drop="net_raw")[-1]["event"] == "ready"
        assert (pod.fake / "dockerd.arguments").read_text().split() == []

    def test_storage_in_memory_is_mounted_once(self, pod: FakePod) -> None:
        command = ["sandbox", *start_arguments(profile="GVisor")[:-1], "--tmpfs", "1048576", "--"]
        pod.script(*command, "--fake-crash")
        command[command.index("--attempt") + 1] = "1"
        assert events(pod.script(*command).stdout)[-1]["event"] == "ready"

        mounts = pod.run("cat", "/proc/mounts").stdout
        assert mounts.count(" /var/lib/docker tmpfs") == 1
        assert "size=1024k" in mounts

    def test_containerd_lives_as_long_as_dockerd(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]
        wait_for(lambda: pod.runs("containerd") == 1)

        pod.kill(pod.processes("bin/containerd")[0])
        wait_for(lambda: pod.runs("containerd") == 2)

        pod.kill(ready["pid"])
        wait_for(lambda: not pod.processes("containerd"))

    def test_what_is_left_of_a_former_attempt_is_cleared_away(self, pod: FakePod) -> None:
        ready = pod.start(profile="GVisor")[-1]
        wait_for(lambda: pod.runs("containerd") == 1)
        (pod.root / "run/docker.pid").write_text(str(ready["pid"]))
        pod.put_to_death(*pod.processes(SUPERVISOR), ready["pid"])

        assert pod.start(1, profile="GVisor")[-1]["event"] == "ready"
        assert len(pod.processes("bin/containerd")) == 1
        assert not (pod.root / "run/docker.pid").exists()

    def test_a_pid_file_of_somebody_else_stays(self, pod: FakePod) -> None:
        (pod.root / "run").mkdir(exist_ok=True)
        (pod.root / "run/docker.pid").write_text("1")

        pod.start(profile="GVisor")

        assert (pod.root / "run/docker.pid").exists()


def test_the_exec_session_is_not_held_open_by_what_it_started(pod: FakePod) -> None:
    """An exec ends when the last holder of its stdout is gone."""
    done = subprocess.run(
        pod.argv("sh", f"{LIBEXEC}/sandbox", *start_arguments()), stdout=subprocess.PIPE, timeout=20, check=False
    )

    assert done.returncode == 0
    assert INFO["driver"] in str(events(done.stdout.decode())[-1]["info"])
