"""The gate, PID 1 of a sandbox: it runs the command only on gVisor's kernel, with an unchanged environment."""

import shutil

import pytest

from tests.toolbox.fakepod import BUSYBOX, LIBEXEC, TOOLBOX, FakePod

HOSTILE = {
    "PATH": "/fake",
    "ENV": "/fake/profile",
    "BASH_ENV": "/fake/profile",
    "LD_PRELOAD": "/fake/preload.so",
    "IFS": "gV",
    "toolbox": "/fake",
    "kernel_name": "4.19.0-gvisor",
    "CAISSON_POD_UID": "",
}


@pytest.fixture
def linux_pod(pod: FakePod) -> FakePod:
    """A pod on this machine's kernel, with the gate's real check."""
    shutil.copy(TOOLBOX / "libexec/lib/kernel.sh", pod.root / "opt/caisson/libexec/lib/kernel.sh")
    (pod.root / "dev/termination-log").touch()
    return pod


def test_gate_on_another_kernel_exits_and_runs_nothing(linux_pod: FakePod) -> None:
    result = linux_pod.script("gate", "--", BUSYBOX, "touch", "/fake/ran")

    assert result.returncode == 86
    assert "this kernel is not gVisor's" in result.stderr
    assert not (linux_pod.fake / "ran").exists()
    assert not (linux_pod.fake / "init.command").exists()


def test_termination_log_names_the_other_kernel(linux_pod: FakePod) -> None:
    linux_pod.script("gate")

    kernel = linux_pod.run("uname", "-rv").stdout
    assert (linux_pod.root / "dev/termination-log").read_text() == f"caisson-gate: NotGVisor: {kernel}"


def test_gate_exits_without_a_termination_log(linux_pod: FakePod) -> None:
    (linux_pod.root / "dev/termination-log").unlink()
    (linux_pod.root / "dev/termination-log").mkdir()

    assert linux_pod.script("gate").returncode == 86


def test_check_ignores_the_environment_and_the_image(linux_pod: FakePod) -> None:
    for name, output in (("dmesg", "Starting gVisor..."), ("uname", "4.19.0-gvisor"), ("profile", "")):
        program = linux_pod.fake / name
        program.write_text(f"#!{BUSYBOX} sh\nkernel_is_gvisor() {{ return 0; }}\necho '{output}'\n")
        program.chmod(0o755)

    assert linux_pod.script("gate", "--check", env=HOSTILE).returncode == 86


def test_check_on_gvisor_succeeds_and_starts_nothing(pod: FakePod) -> None:
    assert pod.script("gate", "--check").returncode == 0
    assert not (pod.fake / "init.command").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param((), f"{BUSYBOX}\nsleep\ninfinity\n", id="no command: idle"),
        pytest.param(("--",), f"{BUSYBOX}\nsleep\ninfinity\n", id="no command after --: idle"),
        pytest.param(("--", "/bin/a", "b c", ""), "/bin/a\nb c\n\n", id="arguments stay separate"),
        pytest.param(("--", "--check"), "--check\n", id="a command with the name of an option"),
    ],
)
def test_gate_on_gvisor_executes_the_command(pod: FakePod, arguments: tuple[str, ...], expected: str) -> None:
    pod.script("gate", *arguments)

    assert (pod.fake / "init.command").read_text() == expected


def test_command_gets_the_exact_environment_of_the_container(pod: FakePod) -> None:
    environment = HOSTILE | {
        "discovery.type": "single-node",
        "TEXT": "two\nlines '\"$(x)",
        "EMPTY": "",
        "-n": "dash",
        "OPTIND": "7",
    }
    del environment["LD_PRELOAD"]  # it would affect the nsenter of this machine

    pod.run("sh", f"{LIBEXEC}/gate", "--", "/bin/true", env=environment)

    actual = (pod.fake / "init.environment").read_text().split("\0")[:-1]
    assert dict(entry.split("=", 1) for entry in actual) == {"CAISSON_POD_UID": "", **environment}
    assert len(actual) == len(environment)


@pytest.fixture
def toolbox_pod(pod: FakePod) -> FakePod:
    """A pod with a complete toolbox and the files that the kubelet mounts to /etc."""
    for part in ("bin", "lib", "libexec", "etc"):
        (pod.root / "opt/caisson" / part).mkdir(exist_ok=True)
    (pod.root / "opt/caisson/bin/iptables").symlink_to("xtables-legacy-multi")
    (pod.root / "opt/caisson/etc/origin").write_text("here\n")
    for file in ("hosts", "hostname", "resolv.conf"):
        (pod.root / "opt/caisson/etc" / file).write_text("the kubelet's\n")
    (pod.root / "copy").mkdir()
    return pod


def test_toolbox_is_copied_unchanged(toolbox_pod: FakePod) -> None:
    for _ in ("first", "again"):
        result = toolbox_pod.script("gate", "--check", "--copy-to", "/copy")
        assert (result.returncode, result.stderr) == (0, "")

    copy, original = toolbox_pod.root / "copy", toolbox_pod.root / "opt/caisson"
    assert sorted(path.name for path in copy.iterdir()) == ["bin", "etc", "lib", "libexec"]
    assert (copy / "bin/iptables").readlink() == (original / "bin/iptables").readlink()
    assert [path.name for path in (copy / "etc").iterdir()] == ["origin"]
    for file in ("bin/busybox", "libexec/log", "libexec/lib/state.sh"):
        assert (copy / file).read_bytes() == (original / file).read_bytes()
        assert (copy / file).stat().st_mode == (original / file).stat().st_mode
    assert toolbox_pod.run("sh", "-c", "cd / && exec /copy/libexec/log").returncode == 1


def test_toolbox_is_not_copied_on_another_kernel(toolbox_pod: FakePod) -> None:
    shutil.copy(TOOLBOX / "libexec/lib/kernel.sh", toolbox_pod.root / "opt/caisson/libexec/lib/kernel.sh")

    assert toolbox_pod.script("gate", "--check", "--copy-to", "/copy").returncode == 86
    assert not list((toolbox_pod.root / "copy").iterdir())


def test_failed_copy_is_reported(toolbox_pod: FakePod) -> None:
    (toolbox_pod.root / "dev/termination-log").touch()

    result = toolbox_pod.script("gate", "--check", "--copy-to", "/nowhere")

    assert result.returncode == 1
    assert "the toolbox can't be copied to /nowhere" in result.stderr
    assert (toolbox_pod.root / "dev/termination-log").read_text().startswith("caisson-gate: CopyFailed: cp: ")
