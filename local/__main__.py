"""The command line of the local cluster."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from local import cluster, namespaces, operator, prerequisites
from local.command import become
from local.components import TOOLS
from local.demo import demo
from local.errors import LocalError
from local.images import ALL_IMAGES, select
from local.paths import Paths
from local.toolchain import find_go, find_kubectl
from local.tools import find_openapi, find_tool
from local.virtualenv import virtualenv

_CHECKOUT = Path(__file__).parent.parent
_VALUES = _CHECKOUT / "local" / "values.yaml"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m local", description="The local cluster of this checkout.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("prerequisites", help="check the machine and install missing system packages with apt")
    commands.add_parser("up", help="build, start or repair the cluster and wait until it is ready")
    commands.add_parser("down", help="remove the cluster except for the build cache")
    commands.add_parser("status", help="show the cluster's processes and the directory of their logs")
    images = commands.add_parser("images", help="build images, and load them if the cluster is up")
    names = [image.name for image in ALL_IMAGES]
    images.add_argument(
        "name", nargs="*", help=f"one of {', '.join(names)}; default: all images that the product needs"
    )
    archive = commands.add_parser(
        "archive", help="print the path of an image's archive, in the format of `docker load`"
    )
    archive.add_argument("name", choices=names)
    commands.add_parser("kubeconfig", help="print the path of a kubeconfig for use on this machine")
    commands.add_parser("kubectl", help="print the path of kubectl: the machine's own, otherwise a pinned one")
    commands.add_parser("go", help="print the path of go: the machine's own if it is suitable, otherwise a pinned one")
    tool = commands.add_parser("tool", help="print the path of a pinned tool")
    tool.add_argument("name", choices=[component.name for component in TOOLS])
    commands.add_parser("openapi", help="print the path of the OpenAPI documents of the cluster's Kubernetes")
    venv = commands.add_parser("venv", help="print the path of the virtualenv with the development tools")
    venv.add_argument("--lock", type=Path, default=_CHECKOUT / "requirements" / "dev.txt", help="its lock file")
    execute = commands.add_parser("exec", help="run a command inside the cluster's namespaces")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="for example: -- ctr containers list")
    _add_operator(commands.add_parser("operator", help="control the operator on the cluster"))
    commands.add_parser("demo", help="start the cluster, install the operator, and run a container in a sandbox")
    return parser


def _add_operator(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    install = actions.add_parser(
        "install", help="build and load its image, install or upgrade the Helm chart, and wait until it is ready"
    )
    install.add_argument("--values", type=Path, action="append", help=f"a values file; default: {_VALUES}")
    install.add_argument("--source", type=Path, help="install the operator and the chart of this directory instead")
    actions.add_parser("stop", help="scale it to zero and wait until its processes have ended")
    actions.add_parser("kill", help="kill its processes with SIGKILL and prevent a restart")
    actions.add_parser("status", help="show its processes and their memory")
    logs = actions.add_parser("logs", help="print its log, as JSON lines")
    logs.add_argument("-f", "--follow", action="store_true", help="follow the log")


def _operator(paths: Paths, arguments: argparse.Namespace) -> None:
    match arguments.action:
        case "install":
            operator.install(paths, arguments.values or [_VALUES], arguments.source)
        case "stop":
            operator.stop(paths)
        case "kill":
            operator.kill(paths)
        case "status":
            print(operator.status(paths))
        case "logs":
            namespaces.require_init(paths)
            options = operator.logs_command(follow=arguments.follow)
            become([str(find_kubectl(paths)), f"--kubeconfig={paths.kubeconfig}", *options])


def _images(paths: Paths, arguments: argparse.Namespace) -> None:
    names = {image.name for image in ALL_IMAGES}
    if unknown := sorted(set(arguments.name) - names):
        raise LocalError(f"unknown image: {', '.join(unknown)}", f"use one of {', '.join(sorted(names))}")
    cluster.images(paths, select(arguments.name))


def _archive(paths: Paths, arguments: argparse.Namespace) -> None:
    print(cluster.archive(paths, *select([arguments.name])))


def _kubeconfig(paths: Paths, _: argparse.Namespace) -> None:
    namespaces.require_init(paths)
    print(paths.kubeconfig)


def _exec(paths: Paths, arguments: argparse.Namespace) -> None:
    command = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not command:
        raise LocalError("the command is missing", "python3 -m local exec -- CMD")
    become(namespaces.command_inside(paths, namespaces.require_init(paths), command, cwd=Path.cwd()))


_COMMANDS: dict[str, Callable[[Paths, argparse.Namespace], None]] = {
    "prerequisites": lambda paths, _: prerequisites.ensure(paths),
    "up": lambda paths, _: cluster.up(paths),
    "down": lambda paths, _: cluster.down(paths),
    "status": lambda paths, _: print(cluster.status(paths)),
    "images": _images,
    "archive": _archive,
    "kubeconfig": _kubeconfig,
    "kubectl": lambda paths, _: print(find_kubectl(paths)),
    "go": lambda paths, _: print(find_go(paths).path),
    "tool": lambda paths, arguments: print(find_tool(paths, arguments.name)),
    "openapi": lambda paths, _: print(find_openapi(paths)),
    "venv": lambda paths, arguments: print(virtualenv(paths, arguments.lock)),
    "exec": _exec,
    "operator": _operator,
    "demo": lambda paths, _: demo(paths),
}


def main() -> int:
    """Run one command and return its exit code. A LocalError is printed as a message, without a traceback."""
    arguments = _parser().parse_args()
    paths = Paths.of(_CHECKOUT, os.environ)
    try:
        _COMMANDS[arguments.command](paths, arguments)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
