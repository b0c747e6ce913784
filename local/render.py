"""Render the configuration files of the cluster's processes. Pure.

Files that a process reads as YAML are rendered as JSON, because every JSON document is valid YAML.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import network
from local.paths import Paths

PAUSE_IMAGE = "caisson.dev/pause:1"

# The kubelet changes these kernel parameters if they have other values. They are not namespaced, so it would change the
# machine. Files with these values are mounted over them, so that the kubelet changes nothing.
KERNEL_PARAMETERS: Mapping[str, str] = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Machine:
    """The properties of the machine that the rendered files depend on."""

    runc: Path
    can_lower_oom_score: bool


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:caisson-system"]},
        {"level": "None"},
    ],
}
"""The API server records every request of the operator's account, so that a test can check its RBAC rules."""


def render(paths: Paths, machine: Machine) -> dict[str, str]:
    """Return the files of the `config` directory that contain no keys, by name."""
    return {
        "containerd.toml": containerd(paths, machine),
        "runsc.toml": runsc({"net-raw": "true", "allow-packet-socket-write": "true"}),
        "runsc-raw.toml": runsc({"net-raw": "true"}),
        "runsc-plain.toml": runsc({}),
        "cni/10-bridge.conflist": _json(cni()),
        "kubelet.json": _json(kubelet(paths)),
        "kube-proxy.json": _json(kube_proxy(paths)),
        "audit.json": _json(AUDIT_POLICY),
        "resolv.conf": "# There is no name server in this network namespace.\n",
        **{f"sysctl/{name}": f"{value}\n" for name, value in KERNEL_PARAMETERS.items()},
    }


def containerd(paths: Paths, machine: Machine) -> str:
    """containerd's configuration, with one runtime handler per RuntimeClass."""
    return f"""\
version = 3
root = {_toml(paths.state / "containerd")}
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = {_toml(paths.state / "containerd" / "opt")}

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = {_toml(PAUSE_IMAGE)}

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = {_toml(not machine.can_lower_oom_score)}
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [{_toml(paths.bin)}]
    conf_dir = {_toml(paths.config / "cni")}
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = {_toml(machine.runc)}
      SystemdCgroup = false
{_runsc_handler("runsc", paths.config / "runsc.toml")}
{_runsc_handler("runsc-raw", paths.config / "runsc-raw.toml")}
{_runsc_handler("runsc-plain", paths.config / "runsc-plain.toml")}
"""


def _runsc_handler(name: str, config: Path) -> str:
    table = f'plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{name}'
    return f"""\
  [{table}]
    runtime_type = "io.containerd.runsc.v1"
    [{table}.options]
      TypeUrl = "io.containerd.runsc.v1.options"
      ConfigPath = {_toml(config)}"""


def runsc(flags: Mapping[str, str]) -> str:
    """The gVisor shim's configuration: flags of runsc that a pod can't set."""
    lines = [f"  {name} = {_toml(value)}" for name, value in flags.items()]
    return "\n".join(["[runsc_config]", *lines]) + "\n"


def cni() -> dict[str, Any]:
    """One bridge for all pods, without masquerading, because pods can't reach anything outside the namespace."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni/networks",
            "ranges": [[{"subnet": network.POD_CIDR}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def kubelet(paths: Paths) -> dict[str, Any]:
    """The kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(paths.pki / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(paths.pki / "kubelet-serving.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{paths.cgroup}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [network.CLUSTER_DNS_IP],
        "clusterDomain": network.CLUSTER_DOMAIN,
        "resolvConf": str(paths.config / "resolv.conf"),
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": str(paths.state / "volume-plugins"),
        # The machine's disk is shared, so the kubelet evicts pods only if it is nearly full. It never deletes images,
        # because there is no registry to pull them from again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def kube_proxy(paths: Paths) -> dict[str, Any]:
    """kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": network.POD_CIDR,
        "hostnameOverride": network.NODE_NAME,
        "clientConnection": {"kubeconfig": str(paths.config / "kube-proxy.kubeconfig")},
        # If a pod connects to a Service whose pod is on the same bridge, the response would bypass conntrack and have
        # the wrong source address, because bridged packets skip netfilter. Masquerading routes it through this host.
        "nftables": {"masqueradeAll": True},
        "oomScoreAdj": 0,
        # The limits of connection tracking are not namespaced: leave the machine's limits unchanged.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A self-contained kubeconfig, with embedded certificates and keys."""
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": network.NODE_NAME,
                    "cluster": {"server": server, "certificate-authority-data": _base64(authority)},
                }
            ],
            "users": [
                {
                    "name": network.NODE_NAME,
                    "user": {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
                }
            ],
            "contexts": [
                {
                    "name": network.NODE_NAME,
                    "context": {"cluster": network.NODE_NAME, "user": network.NODE_NAME},
                }
            ],
            "current-context": network.NODE_NAME,
        }
    )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _toml(value: str | bool | Path) -> str:
    """A TOML value. TOML's basic strings and booleans have the same syntax as JSON's."""
    return json.dumps(value if isinstance(value, bool) else str(value))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
