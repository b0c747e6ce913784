"""The reasons that concern the pod and its isolation."""

from caisson.api.reasons.explanation import Disposition, Explanation
from caisson.api.reasons.reason import ConditionType, Reason
from caisson.timing import FAILED_START_REPLACEMENT_DELAY, LOST_POD_REPLACEMENT_DELAY, NOT_GVISOR_REPLACEMENT_DELAY

EXPLANATIONS = {
    Reason.POD_RUNNING: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The sandbox's container is running.",
    ),
    Reason.POD_PENDING: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The pod is starting; its container is not running yet.",
    ),
    Reason.POD_TERMINATING: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The pod is terminating: it was deleted, the Sandbox is suspended, or the spec changed and needs a new"
        " pod.",
    ),
    Reason.POD_NAME_CONFLICT: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="A pod with the Sandbox's name exists and does not belong to the Sandbox. Caisson does not change it.",
        hint="Delete or rename that pod, or give the Sandbox another name.",
    ),
    Reason.POD_REJECTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The API server rejected the pod: a quota, a limit range, an admission policy or a webhook.",
        hint="The message is the API server's. Ask the administrator of the namespace, or lower spec.resources.",
    ),
    Reason.NAMESPACE_NOT_GUARDED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="Caisson's admission policy is not enforced in this namespace, so Caisson creates no pod there.",
        hint="Ask the administrator to label the namespace with caisson.dev/sandboxes=true, and to verify that the"
        " policies of Caisson's chart are installed.",
    ),
    Reason.POD_MUTATED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="Another component changed the pod after Caisson created it: an injector, such as a service mesh's, or"
        " a mutating policy.",
        hint="Exempt the namespace, or pods with the label app.kubernetes.io/managed-by=caisson, from that component."
        " Then delete the pod, if it exists.",
    ),
    Reason.RUNTIME_HANDLER_NOT_ALLOWED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING, ConditionType.ISOLATED),
        meaning="The handler of the RuntimeClass is not an allowed gVisor handler, so Caisson creates no pod.",
        hint="Ask the administrator to correct the RuntimeClass. If the handler is gVisor under another name, the"
        " administrator can add it to allowedRuntimeHandlers.",
    ),
    Reason.RUNTIME_CLASS_NOT_FOUND: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The RuntimeClass does not exist in the cluster.",
        hint="`kubectl get runtimeclass` lists the existing ones. Ask the administrator to create it.",
    ),
    Reason.UNSCHEDULABLE: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="No node can run the pod.",
        hint="Lower spec.resources, or add nodes that have gVisor. The message is the scheduler's.",
    ),
    Reason.IMAGE_PULL_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node can't pull spec.image.",
        hint="Check the image name in spec.image, and that the node is allowed to pull it.",
    ),
    Reason.TOOLBOX_PULL_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node can't pull the toolbox image, which contains Docker.",
        hint="Ask the administrator: the operator's configuration sets the toolbox image, and the nodes must be able to"
        " pull it.",
    ),
    Reason.RUNTIME_HANDLER_MISSING: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node's containerd does not have the handler that the RuntimeClass names.",
        hint="Install gVisor on the node (runsc and containerd-shim-runsc-v1), add the handler to containerd's"
        " configuration, and restart containerd.",
    ),
    Reason.VOLUME_MOUNT_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node can't mount a volume of the pod, and retries.",
        hint="The message is the node's. A ConfigMap, a Secret or a PersistentVolumeClaim that the spec references may"
        " not exist, or its volume may not be attached yet.",
    ),
    Reason.CONTAINER_START_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node can't start the pod's sandbox or container.",
        hint="The message is the node's. `kubectl describe pod` shows the details.",
        replaced_after=FAILED_START_REPLACEMENT_DELAY,
    ),
    Reason.EVICTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node was short of a resource and evicted the pod.",
        hint="Set spec.resources.requests to what the sandbox needs, so that the scheduler selects a node with enough"
        " resources.",
        replaced_after=LOST_POD_REPLACEMENT_DELAY,
    ),
    Reason.STORAGE_LIMIT_EXCEEDED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The pod was evicted because the sandbox wrote more to disk than its limit allows.",
        hint="Raise spec.docker.storage.disk.sizeLimit, spec.resources.limits.ephemeral-storage or the sizeLimit of an"
        " emptyDir in spec.volumes. The new pod starts empty. If the toolbox is copied into the pod, it counts as"
        " well.",
    ),
    Reason.SANDBOX_OOM_KILLED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The sandbox exceeded its memory limit and was killed, with everything in it.",
        hint="Raise spec.resources.limits.memory. With storage of type Memory, images and containers count towards the"
        " limit: lower spec.docker.storage.memory.sizeLimit, or use type Disk.",
    ),
    Reason.CONTAINER_EXITED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The container's command exited, which ended the sandbox.",
        hint="For a sandbox without a command of its own, remove spec.command and entrypoint: Image. `kubectl logs`"
        " shows the output of the command. To start the sandbox again, set spec.suspend to true and then to false:"
        " storage of type PersistentVolumeClaim is preserved. Deleting the Sandbox deletes that storage.",
    ),
    Reason.POD_LOST: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The node shut down, restarted, failed or was lost with the pod, or it ended the pod to make room for"
        " another pod.",
        hint="If the node does not come back, `kubectl delete node` releases its pods.",
        replaced_after=LOST_POD_REPLACEMENT_DELAY,
    ),
    Reason.POD_UNKNOWN: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="Caisson could not read the state of the pod, and retries.",
    ),
    Reason.GVISOR: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.ISOLATED,),
        meaning="The kernel is gVisor's.",
    ),
    Reason.NOT_VERIFIED: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.ISOLATED,),
        meaning="Caisson has not verified the pod's kernel yet.",
    ),
    Reason.NOT_GVISOR: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING, ConditionType.ISOLATED),
        meaning="The node does not run the pod on gVisor, so the pod was stopped.",
        hint="The handler of the RuntimeClass is not runsc on that node. Ask the administrator to correct the"
        " RuntimeClass or the node's containerd configuration. To retry sooner, set spec.suspend to true and then to"
        " false.",
        replaced_after=NOT_GVISOR_REPLACEMENT_DELAY,
    ),
}
