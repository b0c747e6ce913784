"""The command line of the local cluster."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from local import cluster, namespaces, prerequisites
from local.errors import LocalError
from local.images import BASE, IMAGES, select
from local.paths import Paths
from local.virtualenv import virtualenv


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m local", description="The local cluster of this checkout.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("prerequisites", help="check the machine, and install missing system packages by apt")
    commands.add_parser("up", help="have a ready cluster: build, start or repair what is needed")
    commands.add_parser("down", help="remove all of the cluster but the build cache")
    commands.add_parser("status", help="say what runs and where its logs are")
    images = commands.add_parser("images", help="build images, and load them if the cluster is up")
    names = [image.name for image in (BASE, *IMAGES)]
    images.add_argument("name", nargs="*", help=f"one of {', '.join(names)}; default: all that the product needs")
    commands.add_parser("kubeconfig", help="print the path of a kubeconfig for use on this machine")
    venv = commands.add_parser("venv", help="print the path of the virtualenv with the development tools")
    venv.add_argument("--lock", type=Path, default=Path("requirements/dev.txt"), help="its lock file")
    execute = commands.add_parser("exec", help="run a command inside the cluster's namespaces")
    execute.add_argument("argv", nargs="+", metavar="-- CMD", help="for example: -- ctr containers list")
    return parser


def _images(paths: Paths, arguments: argparse.Namespace) -> None:
    known = {image.name for image in (BASE, *IMAGES)}
    if unknown := sorted(set(arguments.name) - known):
        raise LocalError(f"no such image: {', '.join(unknown)}", f"one of {', '.join(sorted(known))}")
    cluster.images(paths, select(arguments.name))


def _kubeconfig(paths: Paths, _: argparse.Namespace) -> None:
    namespaces.require_init(paths)
    print(paths.kubeconfig)


def _exec(paths: Paths, arguments: argparse.Namespace) -> None:
    argv = namespaces.entering(paths, namespaces.require_init(paths), arguments.argv, cwd=Path.cwd())
    os.execvp(argv[0], argv)


_COMMANDS: dict[str, Callable[[Paths, argparse.Namespace], None]] = {
    "prerequisites": lambda paths, _: prerequisites.ensure(paths),
    "up": lambda paths, _: cluster.up(paths),
    "down": lambda paths, _: cluster.down(paths),
    "status": lambda paths, _: print(cluster.status(paths)),
    "images": _images,
    "kubeconfig": _kubeconfig,
    "venv": lambda paths, arguments: print(virtualenv(paths, arguments.lock)),
    "exec": _exec,
}


def main() -> int:
    """Run one command; an error that the user can act on is a message, not a traceback."""
    arguments = _parser().parse_args()
    paths = Paths.of(Path(__file__).parent.parent, os.environ)
    try:
        _COMMANDS[arguments.command](paths, arguments)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
