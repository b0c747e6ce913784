"""The command lines of the cluster's processes. Pure."""

import sys
from dataclasses import dataclass

from local import network
from local.paths import Paths


@dataclass(frozen=True)
class Part:
    """A process that PID 1 starts, and restarts when it ends."""

    name: str
    argv: tuple[str, ...]
    after_api: bool = False
    """Start it only when the API server is ready, because it would exit earlier."""
    owns_listener: bool = False
    """It inherits the listening socket of the machine's network namespace."""


def environment(paths: Paths, search_path: str) -> dict[str, str]:
    """Return the environment of all processes inside. Only `search_path` comes from the caller's environment.

    For example, the caller's proxy settings would send the kubelet's requests to a proxy that can't reach the cluster.
    """
    return {
        "PATH": f"{paths.bin}:{search_path}:/usr/sbin:/sbin",
        "HOME": str(paths.state),  # so that files that programs write to the home directory end with the cluster
        "LANG": "C.UTF-8",
        "TMPDIR": str(paths.state / "tmp"),
        "PYTHONPATH": str(paths.checkout),
        "KUBECONFIG": str(paths.kubeconfig_inside),
        "CONTAINERD_ADDRESS": "/run/containerd/containerd.sock",
        "CONTAINERD_NAMESPACE": "k8s.io",
    }


def parts(paths: Paths, listener: int) -> tuple[Part, ...]:
    """Return all processes of the cluster. `listener` is the file descriptor of the machine's listening socket."""
    return (
        _etcd(paths),
        _containerd(paths),
        _api_server(paths),
        Part(
            "relay",
            (sys.executable, "-m", "local.relay", str(listener), "127.0.0.1", str(network.API_PORT)),
            owns_listener=True,
        ),
        _controller_manager(paths),
        _scheduler(paths),
        _kubelet(paths),
        _kube_proxy(paths),
        Part(
            "provisioner",
            (sys.executable, "-m", "local.provisioner", str(paths.bin / "kubectl"), str(paths.state / "volumes")),
            after_api=True,
        ),
    )


def _etcd(paths: Paths) -> Part:
    peer = "http://127.0.0.1:2380"
    return Part(
        "etcd",
        (
            str(paths.bin / "etcd"),
            f"--data-dir={paths.state / 'etcd'}",
            f"--listen-client-urls={network.ETCD_SERVER}",
            f"--advertise-client-urls={network.ETCD_SERVER}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # The data does not outlive the processes, so it need not survive a crash.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def _containerd(paths: Paths) -> Part:
    return Part("containerd", (str(paths.bin / "containerd"), "--config", str(paths.config / "containerd.toml")))


def _api_server(paths: Paths) -> Part:
    pki = paths.pki
    return Part(
        "kube-apiserver",
        (
            str(paths.bin / "kube-apiserver"),
            f"--etcd-servers={network.ETCD_SERVER}",
            f"--advertise-address={network.NODE_IP}",
            f"--secure-port={network.API_PORT}",
            f"--service-cluster-ip-range={network.SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
            f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kube-apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kube-apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{network.CLUSTER_DOMAIN}",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            f"--audit-policy-file={paths.config / 'audit.json'}",
            f"--audit-log-path={paths.audit_log}",
        ),
    )


def _controller_manager(paths: Paths) -> Part:
    pki = paths.pki
    return Part(
        "kube-controller-manager",
        (
            str(paths.bin / "kube-controller-manager"),
            f"--kubeconfig={paths.config / 'kube-controller-manager.kubeconfig'}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
        ),
        after_api=True,
    )


def _scheduler(paths: Paths) -> Part:
    return Part(
        "kube-scheduler",
        (
            str(paths.bin / "kube-scheduler"),
            f"--kubeconfig={paths.config / 'kube-scheduler.kubeconfig'}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ),
        after_api=True,
    )


def _kubelet(paths: Paths) -> Part:
    return Part(
        "kubelet",
        (
            str(paths.bin / "kubelet"),
            f"--config={paths.config / 'kubelet.json'}",
            f"--kubeconfig={paths.config / 'kubelet.kubeconfig'}",
            f"--hostname-override={network.NODE_NAME}",
            f"--node-ip={network.NODE_IP}",
        ),
        after_api=True,
    )


def _kube_proxy(paths: Paths) -> Part:
    return Part(
        "kube-proxy",
        (str(paths.bin / "kube-proxy"), f"--config={paths.config / 'kube-proxy.json'}"),
        after_api=True,
    )
