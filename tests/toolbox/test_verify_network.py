"""manifests/verify-network.sh, with a fake kubectl that simulates several kinds of clusters."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "manifests" / "verify-network.sh"
SERVER, POD = "10.0.0.1", "10.0.0.3"
WHEN_OPEN = f"client>{POD}:8080@Open"
WORKS = {f"pod>{SERVER}:8080", "server>127.0.0.1:8081", WHEN_OPEN}
"""Open connections in a cluster that enforces policies: FROM>ADDRESS:PORT, with @EGRESS only for this egress mode."""

KUBECTL = f"""#!{sys.executable}
import pathlib, re, sys
here, words = pathlib.Path(__file__).parent, sys.argv[3:]
with (here / "commands").open("a") as commands:
    print(*words, file=commands)
state = (here / "state").read_text().split()
role = next((w.rsplit("-", 1)[1] for w in words if re.search(r"verify-network-[0-9]+-[a-z]+$", w)), "")
if words[0] == "apply":
    (here / "applied").open("a").write(sys.stdin.read())
elif words[0] == "wait" and "unready" in state:
    sys.exit(1)
elif words[:2] == ["get", "networkpolicy"]:
    sys.exit("no-policies" in state)
elif words[:2] == ["get", "pod"] and "podIP" in words[-1]:
    print({{"server": "{SERVER}", "client": "10.0.0.2", "pod": "{POD}"}}[role])
elif words[0] == "patch":
    (here / "egress").write_text(re.search(r'"egress":"([A-Za-z]+)"', words[-1])[1])
elif words[0] == "exec":
    if "no-exec" in state:
        sys.exit("error: you may not")
    at = re.sub(r"http://\\[?([^]]*?)\\]?:([0-9]+)/", r"\\1:\\2", words[-1])
    egress = (here / "egress").read_text() if (here / "egress").exists() else "Restricted"
    if {{f"{{role}}>{{at}}", f"{{role}}>{{at}}@{{egress}}"}} & set(state):
        print("wget: server returned error: HTTP/1.1 404 Not Found")
    print("ended: 1")
"""


def verify(tmp_path: Path, *state: str) -> tuple[int, list[str]]:
    """Run the script, and return its exit code and its output lines."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "kubectl").write_text(KUBECTL)
    (bin_ / "kubectl").chmod(0o755)
    (bin_ / "sleep").symlink_to("/bin/true")
    (bin_ / "state").write_text(" ".join(state))
    environment = {"PATH": f"{bin_}:/usr/bin:/bin"}
    command = ["sh", str(SCRIPT), "team-a"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    last = (bin_ / "commands").read_text().splitlines()[-1]
    assert last.startswith("delete sandboxes.caisson.dev/verify-network-")
    return result.returncode, result.stdout.splitlines()


def test_enforced_policies_are_reported_with_exit_code_0(tmp_path: Path) -> None:
    code, lines = verify(tmp_path, *WORKS)
    assert code == 0, lines
    assert [line.split(":")[0] for line in lines] == ["enforced", "enforced", *["not there"] * 6, "enforced"]


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (f"pod>{SERVER}:8081", "a sandbox's other port, to a pod of the namespace,"),
        (f"client>{SERVER}:8080", "a port of spec.ports, to another sandbox,"),
        (f"client>{POD}:8080", "a pod of the namespace, to a sandbox with egress: Closed,"),
    ],
)
def test_unexpectedly_open_connection_is_reported(tmp_path: Path, connection: str, expected: str) -> None:
    code, lines = verify(tmp_path, *WORKS, connection)
    assert code == 1
    assert [line for line in lines if "NOT" in line] == [f"NOT ENFORCED: {expected} is open"]


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254"])
def test_existing_metadata_address_is_checked(tmp_path: Path, address: str) -> None:
    code, lines = verify(tmp_path, *WORKS, f"pod>{address}:80")
    assert code == 0
    assert f"enforced: the metadata address {address}, to a sandbox, is closed" in lines


def test_reachable_metadata_address_is_reported(tmp_path: Path) -> None:
    code, lines = verify(tmp_path, *WORKS, "pod>169.254.169.254:80", "client>169.254.169.254:80")
    assert code == 1
    assert "NOT ENFORCED: the metadata address 169.254.169.254, to a sandbox, is open" in lines


def test_absence_of_policies_is_reported(tmp_path: Path) -> None:
    code, lines = verify(tmp_path, *WORKS, "no-policies")
    assert code == 1
    assert "config.sandboxes.network.enabled" in lines[-1]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ((), "another policy, or a network that does not work"),
        (WORKS - {WHEN_OPEN}, "to a sandbox with egress: Open, is closed, and should be open"),
        ((*WORKS, "unready"), "is not Ready"),
        ((*WORKS, "no-exec"), "error: you may not"),
    ],
    ids=["closed-altogether", "closed-by-something-else", "not-ready", "no-exec"],
)
def test_inconclusive_check_exits_with_2(tmp_path: Path, state: Iterable[str], expected: str) -> None:
    code, lines = verify(tmp_path, *state)
    assert code == 2
    assert lines[-1].startswith("could not tell: ")
    assert expected in lines[-1]
