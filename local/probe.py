"""Ask a server on the node's loopback for a path once; exit with 0 if the answer is a success.

    python3 -m local.probe PORT PATH

It is run inside the cluster's network namespace, which the caller can't join for itself.
"""

import http.client
import sys
from contextlib import closing

_TIMEOUT_SECONDS = 2


def main() -> int:
    """Ask, and turn the answer into an exit code."""
    port, path = sys.argv[1:]
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", path)
            return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
        except (OSError, http.client.HTTPException):
            return 1


if __name__ == "__main__":
    sys.exit(main())
