"""PID 1: nothing of the user's runs on another kernel than gVisor's, and what runs notices nothing of the gate."""

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
def elsewhere(pod: FakePod) -> FakePod:
    """A pod on this machine's own kernel, with the gate's real check."""
    shutil.copy(TOOLBOX / "libexec/lib/kernel.sh", pod.root / "opt/caisson/libexec/lib/kernel.sh")
    (pod.root / "dev/termination-log").touch()
    return pod


def test_another_kernel_is_refused_and_nothing_runs(elsewhere: FakePod) -> None:
    done = elsewhere.script("gate", "--", BUSYBOX, "touch", "/fake/ran")

    assert done.returncode == 86
    assert "this kernel is not gVisor's" in done.stderr
    assert not (elsewhere.fake / "ran").exists()
    assert not (elsewhere.fake / "init.command").exists()


def test_the_refusal_is_one_line_in_the_termination_log(elsewhere: FakePod) -> None:
    elsewhere.script("gate")

    kernel = elsewhere.run("uname", "-rv").stdout
    assert (elsewhere.root / "dev/termination-log").read_text() == f"caisson-gate: NotGVisor: {kernel}"


def test_a_refusal_needs_no_termination_log(elsewhere: FakePod) -> None:
    (elsewhere.root / "dev/termination-log").unlink()
    (elsewhere.root / "dev/termination-log").mkdir()

    assert elsewhere.script("gate").returncode == 86


def test_the_environment_and_the_image_have_no_say_in_the_check(elsewhere: FakePod) -> None:
    for name, says in (("dmesg", "Starting gVisor..."), ("uname", "4.19.0-gvisor"), ("profile", "")):
        liar = elsewhere.fake / name
        liar.write_text(f"#!{BUSYBOX} sh\nkernel_is_gvisor() {{ return 0; }}\necho '{says}'\n")
        liar.chmod(0o755)

    assert elsewhere.script("gate", "--check", env=HOSTILE).returncode == 86


def test_check_on_gvisor_says_yes_and_starts_nothing(pod: FakePod) -> None:
    assert pod.script("gate", "--check").returncode == 0
    assert not (pod.fake / "init.command").exists()


@pytest.mark.parametrize(
    ("arguments", "becomes"),
    [
        pytest.param((), f"{BUSYBOX}\nsleep\ninfinity\n", id="no command idles"),
        pytest.param(("--",), f"{BUSYBOX}\nsleep\ninfinity\n", id="no command after the dashes idles"),
        pytest.param(("--", "/bin/a", "b c", ""), "/bin/a\nb c\n\n", id="arguments stay apart"),
        pytest.param(("--", "--check"), "--check\n", id="a command may be called like an option"),
    ],
)
def test_on_gvisor_the_command_takes_over(pod: FakePod, arguments: tuple[str, ...], becomes: str) -> None:
    pod.script("gate", *arguments)

    assert (pod.fake / "init.command").read_text() == becomes


def test_the_command_gets_exactly_the_environment_of_the_container(pod: FakePod) -> None:
    given = HOSTILE | {
        "discovery.type": "single-node",
        "TEXT": "two\nlines '\"$(x)",
        "EMPTY": "",
        "-n": "dash",
        "OPTIND": "7",
    }
    del given["LD_PRELOAD"]  # the dynamic loader of this machine's nsenter would complain

    pod.run("sh", f"{LIBEXEC}/gate", "--", "/bin/true", env=given)

    seen = (pod.fake / "init.environment").read_text().split("\0")[:-1]
    assert dict(entry.split("=", 1) for entry in seen) == {"CAISSON_POD_UID": "", **given}
    assert len(seen) == len(given)


@pytest.fixture
def delivered(pod: FakePod) -> FakePod:
    """A pod in the toolbox's own image: the tree is at its root, next to what the kubelet mounts."""
    for part in ("bin", "lib", "libexec", "etc"):
        (pod.root / "opt/caisson" / part).mkdir(exist_ok=True)
    (pod.root / "opt/caisson/bin/iptables").symlink_to("xtables-legacy-multi")
    (pod.root / "opt/caisson/etc/origin").write_text("here\n")
    for file in ("hosts", "hostname", "resolv.conf"):
        (pod.root / "opt/caisson/etc" / file).write_text("the kubelet's\n")
    (pod.root / "copy").mkdir()
    return pod


def test_the_toolbox_is_copied_as_it_is(delivered: FakePod) -> None:
    for _ in ("first", "again"):
        done = delivered.script("gate", "--check", "--copy-to", "/copy")
        assert (done.returncode, done.stderr) == (0, "")

    copy, original = delivered.root / "copy", delivered.root / "opt/caisson"
    assert sorted(path.name for path in copy.iterdir()) == ["bin", "etc", "lib", "libexec"]
    assert (copy / "bin/iptables").readlink() == (original / "bin/iptables").readlink()
    assert [path.name for path in (copy / "etc").iterdir()] == ["origin"]
    for file in ("bin/busybox", "libexec/log", "libexec/lib/state.sh"):
        assert (copy / file).read_bytes() == (original / file).read_bytes()
        assert (copy / file).stat().st_mode == (original / file).stat().st_mode
    assert delivered.run("sh", "-c", "cd / && exec /copy/libexec/log").returncode == 1


def test_nothing_is_copied_on_another_kernel(delivered: FakePod) -> None:
    shutil.copy(TOOLBOX / "libexec/lib/kernel.sh", delivered.root / "opt/caisson/libexec/lib/kernel.sh")

    assert delivered.script("gate", "--check", "--copy-to", "/copy").returncode == 86
    assert not list((delivered.root / "copy").iterdir())


def test_a_copy_that_fails_is_told(delivered: FakePod) -> None:
    (delivered.root / "dev/termination-log").touch()

    done = delivered.script("gate", "--check", "--copy-to", "/nowhere")

    assert done.returncode == 1
    assert "the toolbox can't be copied to /nowhere" in done.stderr
    assert (delivered.root / "dev/termination-log").read_text().startswith("caisson-gate: CopyFailed: cp: ")
