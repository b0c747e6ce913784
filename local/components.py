"""The binaries of the cluster: a table, and the cache key of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.cache import digest, digest_files

BUILD_FLAGS = ("-trimpath", "-buildvcs=false")
BUILD_ENVIRONMENT: Mapping[str, str] = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off"}


@dataclass(frozen=True)
class Component:
    """One binary: the package it comes from and the directory of `local/modules` that pins its version."""

    name: str
    module: str
    package: str
    version_of: str = ""
    """The Go module whose version is stamped into the binary."""
    stamp: str = ""
    """The Go variable that the version is stamped into. Without it, a binary such as the kubelet reports v0.0.0."""
    restricted_replacement: str = ""
    """A Go module that a stand-in of the same base name replaces if CAP_SYS_RESOURCE is missing."""


def _kubernetes(name: str) -> Component:
    return Component(
        name,
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        version_of="k8s.io/kubernetes",
        stamp="k8s.io/component-base/version.gitVersion",
    )


def _containerd(name: str) -> Component:
    module = "github.com/containerd/containerd/v2"
    return Component(
        name,
        module="containerd",
        package=f"{module}/cmd/{name}",
        version_of=module,
        stamp=f"{module}/version.Version",
    )


def _cni(kind: str, name: str) -> Component:
    return Component(name, module="cni", package=f"github.com/containernetworking/plugins/plugins/{kind}/{name}")


# The binaries that run a gVisor container come first: they can be used while Kubernetes is still being built.
COMPONENTS = (
    Component(
        "runsc",
        module="gvisor",
        package="gvisor.dev/gvisor/runsc",
        version_of="gvisor.dev/gvisor",
        stamp="gvisor.dev/gvisor/runsc/version.version",
    ),
    Component(
        "containerd-shim-runsc-v1",
        module="gvisor-shim",
        package="gvisor.dev/gvisor/shim",
        restricted_replacement="github.com/moby/sys/userns",
    ),
    _containerd("containerd"),
    _containerd("containerd-shim-runc-v2"),
    _containerd("ctr"),
    _cni("main", "bridge"),
    _cni("main", "loopback"),
    _cni("ipam", "host-local"),
    Component("pause", module="pause", package="caisson.dev/local/pause"),
    Component("etcd", module="etcd", package="go.etcd.io/etcd/server/v3"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kube-proxy"),
    _kubernetes("kubelet"),
)
# Tools that are used from outside the cluster.
TOOLS = (
    Component("helm", module="helm", package="helm.sh/helm/v4/cmd/helm"),
    Component("kubeconform", module="helm", package="github.com/yannh/kubeconform/cmd/kubeconform"),
    Component(
        "helm-unittest", module="helm-unittest", package="github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
    ),
    # A fake kubelet for thousands of nodes, which the benchmark at scale runs in the cluster.
    Component("kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),
)
CNI_PLUGINS = tuple(component.name for component in COMPONENTS if component.module == "cni")


def required_version(go_mod: str, module: str) -> str:
    """Return the version of `module` that the text of a go.mod requires. Raises KeyError if it is not required."""
    for line in go_mod.splitlines():
        words = line.split()
        if words[:1] == ["require"]:
            words = words[1:]
        if len(words) >= 2 and words[0] == module and words[1].startswith("v"):
            return words[1]
    raise KeyError(f"{module} is not required")


def linker_flags(component: Component, go_mod: str) -> str:
    """Return linker flags that omit the symbol tables and stamp the version into a binary that reports one."""
    flags = "-s -w"
    if component.stamp:
        flags += f" -X {component.stamp}={required_version(go_mod, component.version_of)}"
    return flags


def cache_key(component: Component, modules: Path, go_version: str, restricted: bool) -> str:
    """Return a key for everything that determines the content of the binary."""
    directory = modules / component.module
    sources = sorted(path for path in directory.iterdir() if path.is_file())
    replacement = replacement_directory(component, modules) if restricted else None
    if replacement:
        sources.append(replacement)
    go_mod = (directory / "go.mod").read_text()
    environment = (f"{name}={value}" for name, value in sorted(BUILD_ENVIRONMENT.items()))
    return digest(
        [
            component.package,
            digest_files(modules, sources),
            linker_flags(component, go_mod),
            go_version,
            *BUILD_FLAGS,
            *environment,
        ]
    )


def replacement_directory(component: Component, modules: Path) -> Path | None:
    """Return the component's stand-in module for a machine without CAP_SYS_RESOURCE, if it has one."""
    if not component.restricted_replacement:
        return None
    return modules / component.restricted_replacement.rpartition("/")[2]
