"""The demo: starts a cluster and runs a container inside a sandbox. Prints each command as a user would type it."""

import os
import shlex
import subprocess

from local import cluster, operator
from local.errors import LocalError
from local.images import OPERATOR, select
from local.paths import Paths
from local.progress import say
from local.toolchain import find_kubectl

_NESTED_CONTAINER = """\
mkdir -p /tmp/hello/bin
cp "$(command -v busybox)" /tmp/hello/bin/busybox
tar -C /tmp/hello -c . | docker import - hello
docker run --rm hello /bin/busybox sh -c "echo Hello from a container in a sandbox, on this kernel: && busybox uname -a"
"""

_NEXT_STEPS = """
This sandbox has its own Docker daemon, without a privileged pod. Next steps:

  export KUBECONFIG=$(make -s kubeconfig)
  kubectl exec -it demo -- sh                 # then: docker info, docker run, docker build
  kubectl get sbx -w                          # READY, REASON, RESTARTS ...
  kubectl explain sandbox.spec.docker         # the settings of Docker
  kubectl delete sbx demo                     # deletes the sandbox and all its objects
  make down                                   # removes the cluster

To see the report of a daemon that crashes, in status.crash:

  kubectl apply -f manifests/samples/bare.yaml
  kubectl get sbx bare -o yaml
"""


def demo(paths: Paths) -> None:
    """Run the demo. A second run skips the steps that are complete."""
    _show("make up images")
    cluster.up(paths)
    archives = cluster.images(paths, select([]))
    kubectl = _Kubectl(paths)
    values = paths.checkout / "local" / "values.yaml"
    command = operator.install_command(archives[OPERATOR.reference], [values.relative_to(paths.checkout)])
    _show(shlex.join(["helm", *command]))
    operator.install(paths, [values])
    kubectl("label", "namespace", "default", "caisson.dev/sandboxes=true", "--overwrite")
    kubectl("apply", "-f", "manifests/samples/sandbox.yaml")
    kubectl("wait", "--for=condition=Ready", "sbx/demo", "--timeout=120s")
    kubectl("get", "sbx")
    kubectl("exec", "demo", "--", "sh", "-ec", _NESTED_CONTAINER)
    print(_NEXT_STEPS)


class _Kubectl:
    """Run kubectl as a user would: with KUBECONFIG set, in the directory of the checkout."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._program = find_kubectl(paths)
        _show(f"export KUBECONFIG={paths.kubeconfig}")
        if self._program.is_relative_to(paths.cache):
            _show(f'export PATH={self._program.parent}:"$PATH"')

    def __call__(self, *arguments: str) -> None:
        _show(shlex.join(["kubectl", *arguments]))
        environment = {**os.environ, "KUBECONFIG": str(self._paths.kubeconfig)}
        result = subprocess.run([self._program, *arguments], cwd=self._paths.checkout, env=environment, check=False)
        if result.returncode != 0:
            raise LocalError(
                f"`kubectl {arguments[0]}` exited with {result.returncode}",
                "check `kubectl get sbx demo -o yaml` (status.crash describes the failure of dockerd), then "
                "`kubectl describe sbx demo`, `kubectl describe pod demo`, `python3 -m local operator logs`",
            )


def _show(command: str) -> None:
    say(f"\n$ {command}")
