"""The configuration files of the cluster's parts, as text. Pure: what comes in decides what comes out.

JSON is used wherever a part reads YAML, because every JSON document is one.
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

# The kubelet sets these kernel parameters, which belong to the whole machine and not to a namespace, unless they have
# the values that it wants. Files with those values are mounted over them, so it finds nothing to change.
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
    """What the rendered files depend on besides paths."""

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
"""What the API server writes down: every request of the operator's account, so that a test can tell what it needs."""


def render(paths: Paths, machine: Machine) -> dict[str, str]:
    """The files of the `config` directory that hold no key, by name."""
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
    """The gVisor shim's configuration: flags of runsc, which a pod can't set."""
    lines = [f"  {name} = {_toml(value)}" for name, value in flags.items()]
    return "\n".join(["[runsc_config]", *lines]) + "\n"


def cni() -> dict[str, Any]:
    """One bridge for all pods. No masquerading: there is nothing outside of the namespace to reach."""
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
        # The machine's disk is not the cluster's to judge: no eviction before it is nearly full, and no image is
        # ever garbage-collected, because there is no registry to pull it from again.
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
        # A pod that reaches a Service of a pod on the same bridge would get its answer past conntrack, with the
        # wrong source, unless packets on the bridge went through netfilter. Masquerading sends them back here.
        "nftables": {"masqueradeAll": True},
        "oomScoreAdj": 0,
        # The limits of connection tracking belong to the machine.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig with everything in it, so that it can be copied."""
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
    """A TOML value: its basic strings and booleans are written as JSON's are."""
    return json.dumps(value if isinstance(value, bool) else str(value))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
