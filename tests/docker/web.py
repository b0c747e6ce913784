"""A web server in a nested container of the small image. It responds with the address of its client."""

from tests.docker.daemon import SMALL, Daemon
from tests.e2e.kubectl import KubectlError, eventually

_SERVE = r"""
printf '#!/bin/sh\necho Content-Type: text/plain\necho\necho $REMOTE_ADDR\n' >/www/cgi-bin/who
chmod +x /www/cgi-bin/who
exec httpd -f -p 0.0.0.0:80 -h /www
"""
_IS_LISTENING = "grep -q ':0050 0*:0000 0A' /proc/net/tcp"


def serve(docker: Daemon, *options: str) -> None:
    """Start the container `web` with these options of `docker run`, and wait until it listens on its port 80."""
    docker("run", "--detach", "--init", "--name", "web", *options, SMALL, "sh", "-c", _SERVE)

    def listens() -> bool:
        try:
            docker("exec", "web", "sh", "-c", _IS_LISTENING)
        except KubectlError:
            return False
        return True

    eventually(listens, lambda: docker("logs", "web"))


def request(host: str, port: int = 80) -> str:
    """Return a busybox wget command that sends a request to the web server."""
    return f"wget -q -T 5 -O - http://{host}:{port}/cgi-bin/who"


def request_from_outside(host: str, port: int = 80) -> str:
    """Return a Python command that sends a request to the web server, for a pod outside."""
    program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode().strip())"
    return f"python3 -c '{program}' http://{host}:{port}/cgi-bin/who"
