"""How to reach the API server: a kubeconfig, or the service account of the pod."""

import os
from pathlib import Path
from urllib.request import getproxies_environment

from kubernetes.aio import client, config

from caisson.model.errors import ConfigError


async def configuration() -> client.Configuration:
    """Return how to reach the cluster: $KUBECONFIG or ~/.kube/config, else the pod's own service account.

    Raises `kubernetes.aio.config.ConfigException` if there is neither.
    """
    connection = client.Configuration()
    kubeconfig = _kubeconfig()
    if kubeconfig is not None:
        await config.load_kube_config(str(kubeconfig), client_configuration=connection, persist_config=False)
    else:
        config.load_incluster_config(client_configuration=connection)
    # Unlimited, because the queue and the sessions are already limited, and no metric would show a wait here.
    connection.connection_pool_maxsize = 0
    # Otherwise each request looks for proxies in the environment and passwords in ~/.netrc: a fifth of our CPU time.
    connection.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
    return connection


def _kubeconfig() -> Path | None:
    variable = os.environ.get("KUBECONFIG")
    path = Path(variable or "~/.kube/config").expanduser()
    if path.is_file():
        return path
    if variable:
        raise ConfigError(
            f"KUBECONFIG: {variable} is not a file; name one file, or unset it to use the service account"
        )
    return None
