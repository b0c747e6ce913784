"""The demonstration: from nothing to a container inside a sandbox, each command shown as a user would type it."""

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

_WHAT_NEXT = """
A Docker daemon of your own, and no privileged pod anywhere. What to try next:

  export KUBECONFIG=$(make -s kubeconfig)
  kubectl exec -it demo -- sh                 # then: docker info, docker run, docker build
  kubectl get sbx -w                          # READY, REASON, RESTARTS ...
  kubectl explain sandbox.spec.docker         # what can be asked for
  kubectl delete sbx demo                     # and everything of it is gone
  make down                                   # the cluster as well

And a daemon that crashes, for the report in its status.crash:

  kubectl apply -f manifests/samples/bare.yaml
  kubectl get sbx bare -o yaml
"""


def demo(paths: Paths) -> None:
    """Run the demonstration; running it again repeats what is quick and skips what is done."""
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
    print(_WHAT_NEXT)


class _Kubectl:
    """kubectl as a user has it: its own environment variable, the checkout as working directory."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._program = find_kubectl(paths)
        _show(f"export KUBECONFIG={paths.kubeconfig}")
        if self._program.is_relative_to(paths.cache):
            _show(f'export PATH={self._program.parent}:"$PATH"')

    def __call__(self, *arguments: str) -> None:
        _show(shlex.join(["kubectl", *arguments]))
        environment = {**os.environ, "KUBECONFIG": str(self._paths.kubeconfig)}
        done = subprocess.run([self._program, *arguments], cwd=self._paths.checkout, env=environment, check=False)
        if done.returncode != 0:
            raise LocalError(
                f"`kubectl {arguments[0]}` ended with {done.returncode}",
                "look at `kubectl get sbx demo -o yaml` (status.crash says what happened to dockerd), then at "
                "`kubectl describe sbx demo`, `kubectl describe pod demo`, `python3 -m local operator logs`",
            )


def _show(command: str) -> None:
    say(f"\n$ {command}")
