"""The kinds of objects that the operator reads and writes, as the API names them."""

from typing import NamedTuple

from caisson.api.spec import pool, sandbox
from caisson.api.types import API_VERSION
from caisson.model.actions import ChildKind
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL

MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""The label selector of the objects that Caisson creates."""


class ApiResource(NamedTuple):
    """All objects of one kind."""

    prefix: str
    plural: str
    kind: str
    selector: str = MANAGED_SELECTOR
    """The label selector of the objects to watch. If it is empty, all are watched."""

    @property
    def selection(self) -> dict[str, str]:
        """The parameters of a query that select the objects that are watched."""
        return {"labelSelector": self.selector} if self.selector else {}

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the URL path of one object, of all objects in a namespace, or of all objects without a namespace."""
        scope = "" if namespace is None else f"/namespaces/{namespace}"
        return f"{self.prefix}{scope}/{self.plural}" + ("" if name is None else f"/{name}")


SANDBOXES = ApiResource(f"/apis/{API_VERSION}", sandbox.PLURAL, sandbox.KIND, selector="")
POOLS = ApiResource(f"/apis/{API_VERSION}", pool.PLURAL, pool.KIND, selector="")
PODS = ApiResource("/api/v1", "pods", "Pod")
SERVICES = ApiResource("/api/v1", "services", "Service")
NETWORK_POLICIES = ApiResource("/apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
PVCS = ApiResource("/api/v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CHILD_RESOURCES = {ChildKind.NETWORK_POLICY: NETWORK_POLICIES, ChildKind.SERVICE: SERVICES}
