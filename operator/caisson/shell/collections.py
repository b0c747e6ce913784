"""The kinds of objects that are made for Sandboxes, as the API names them."""

from typing import NamedTuple

from caisson.core.owned import MANAGED_BY, MANAGED_BY_LABEL
from caisson.core.plan import Kept


class Collection(NamedTuple):
    """All objects of one kind."""

    prefix: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the URL's path: of one object, of a namespace's, or of all when there is no namespace."""
        scope = "" if namespace is None else f"/namespaces/{namespace}"
        return f"{self.prefix}{scope}/{self.plural}" + ("" if name is None else f"/{name}")


PODS = Collection("/api/v1", "pods")
SERVICES = Collection("/api/v1", "services")
NETWORK_POLICIES = Collection("/apis/networking.k8s.io/v1", "networkpolicies")
CLAIMS = Collection("/api/v1", "persistentvolumeclaims")
KEPT = {Kept.NETWORK_POLICY: NETWORK_POLICIES, Kept.SERVICE: SERVICES}

OWN = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""The label selector of what Caisson made."""
