"""The reasons that concern pools and the pods that come from them."""

from caisson.api.reasons.explanation import Disposition, Explanation
from caisson.api.reasons.reason import ConditionType, Reason

EXPLANATIONS = {
    Reason.POOL_NOT_FOUND: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The SandboxPool in spec.poolRef does not exist, or its spec can't be read.",
        hint="`kubectl get sbxp` lists the pools of the namespace. Apply the pool, or delete the Sandbox and apply it"
        " with another poolRef.",
    ),
    Reason.POOL_EMPTY: Explanation(
        disposition=Disposition.IN_PROGRESS,
        meaning="The pool had no ready pod, so a new pod is started instead.",
        hint="The start takes as long as without a pool, and the images in the pool's spec.preload are not preloaded."
        " If this happens often, raise spec.replicas of the pool.",
    ),
    Reason.POD_CLAIM_REJECTED: Explanation(
        disposition=Disposition.IN_PROGRESS,
        meaning="The API server rejected the assignment of a pool pod to this Sandbox, so a new pod is started"
        " instead.",
        hint="Usually an admission policy or a webhook of the cluster rejects changes to a pod's owner or labels. Allow"
        " Caisson's service account to make them.",
    ),
    Reason.POOL_READY: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.READY,),
        meaning="The pool has as many ready pods as requested.",
    ),
    Reason.POOL_FILLING: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.READY,),
        meaning="Pods of the pool are starting.",
    ),
    Reason.PRELOAD_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.READY,),
        meaning="An image in spec.preload can't be pulled in the pods of the pool, so none of them counts as ready.",
        hint="Check the image names in spec.preload, and spec.template.spec.docker.registry. The message is Docker's.",
    ),
    Reason.POD_TEMPLATE_UNREADABLE: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        meaning="This version of Caisson can't read which template of the pool the pod was created from. It keeps the"
        " pod, and does not start Docker or change the network and ports.",
        hint="Ask the administrator to upgrade the operator to the version that created the pod, or delete the Sandbox"
        " and apply it again.",
    ),
    Reason.TEMPLATE_TOO_LARGE: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.READY,),
        meaning="The template of the pool does not fit into the annotations of an object.",
        hint="Shorten spec.template.spec.env, command or args: move long values into a file of the image.",
    ),
}
