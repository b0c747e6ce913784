"""The rendered configuration and command lines."""

import base64
import json
import tomllib
from pathlib import Path

import pytest

from local import network, render
from local.parts import environment, parts
from local.paths import Paths

PATHS = Paths(checkout=Path("/src"), cache=Path("/cache"), state=Path("/var/lib/caisson/0123456789"))


def _runtimes(can_lower_oom_score: bool = True) -> dict[str, object]:
    machine = render.Machine(runc=Path("/usr/sbin/runc"), can_lower_oom_score=can_lower_oom_score)
    plugins = tomllib.loads(render.containerd(PATHS, machine))["plugins"]
    runtime: dict[str, object] = plugins["io.containerd.cri.v1.runtime"]
    return runtime


def test_every_runtime_class_has_a_handler() -> None:
    manifest = (Path(__file__).parents[3] / "local" / "manifests" / "runtimeclasses.yaml").read_text()
    handlers = {line.split()[1] for line in manifest.splitlines() if line.startswith("handler:")}
    containerd = _runtimes()["containerd"]
    assert isinstance(containerd, dict)
    assert set(containerd["runtimes"]) == handlers


def test_each_gvisor_handler_reads_its_own_flags() -> None:
    containerd = _runtimes()["containerd"]
    assert isinstance(containerd, dict)
    files = {name: runtime["options"].get("ConfigPath") for name, runtime in containerd["runtimes"].items()}
    assert files == {
        "runc": None,
        "runsc": "/var/lib/caisson/0123456789/config/runsc.toml",
        "runsc-raw": "/var/lib/caisson/0123456789/config/runsc-raw.toml",
        "runsc-plain": "/var/lib/caisson/0123456789/config/runsc-plain.toml",
    }


def test_handlers_differ_in_raw_and_packet_sockets() -> None:
    rendered = render.render(PATHS, render.Machine(runc=Path("/runc"), can_lower_oom_score=True))
    assert tomllib.loads(rendered["runsc.toml"]) == {
        "runsc_config": {"net-raw": "true", "allow-packet-socket-write": "true"}
    }
    assert tomllib.loads(rendered["runsc-raw.toml"]) == {"runsc_config": {"net-raw": "true"}}
    assert tomllib.loads(rendered["runsc-plain.toml"]) == {"runsc_config": {}}


@pytest.mark.parametrize("capable", [True, False])
def test_oom_scores_are_restricted_only_without_the_capability(capable: bool) -> None:
    assert _runtimes(can_lower_oom_score=capable)["restrict_oom_score_adj"] is not capable


def test_kubelet_uses_the_cgroup_of_its_cluster() -> None:
    assert render.kubelet(PATHS)["cgroupRoot"] == "/caisson-0123456789"


def test_kubeconfig_contains_its_credentials() -> None:
    document = json.loads(render.kubeconfig("https://127.0.0.1:1", b"authority", b"certificate", b"key"))
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    user = document["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == b"key"
    assert document["current-context"] == document["contexts"][0]["name"]


def test_only_the_relay_inherits_the_listening_socket() -> None:
    assert [part.name for part in parts(PATHS, listener=7) if part.owns_listener] == ["relay"]
    relay = next(part for part in parts(PATHS, listener=7) if part.owns_listener)
    assert relay.argv[-3:] == ("7", "127.0.0.1", str(network.API_PORT))


def test_data_of_etcd_is_inside_the_state_directory() -> None:
    etcd = next(part for part in parts(PATHS, listener=0) if part.name == "etcd")
    assert "--data-dir=/var/lib/caisson/0123456789/etcd" in etcd.argv


def test_environment_excludes_the_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert not [name for name in environment(PATHS, "/usr/bin") if name.lower().endswith("_proxy")]
