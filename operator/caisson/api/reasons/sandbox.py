"""The reasons that concern the Sandbox as a whole: its spec, its child objects and its lifetime."""

from caisson.api.reasons.explanation import Disposition, Explanation
from caisson.api.reasons.reason import ConditionType, Reason
from caisson.timing import MAX_OBJECT_BYTES

EXPLANATIONS = {
    Reason.READY: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.READY,),
        meaning="Everything that the Sandbox requests is available.",
    ),
    Reason.INVALID_SPEC: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.READY,),
        meaning="The spec does not match this operator's version of the API.",
        hint="Correct the field that the message names. If the CRD is newer than the operator, upgrade the operator.",
    ),
    Reason.RUNTIME_CLASS_NOT_ALLOWED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The administrator does not allow the RuntimeClass in spec.runtimeClassName.",
        hint="Choose a RuntimeClass that the message lists, or remove the field.",
    ),
    Reason.DOCKER_VERSION_UNKNOWN: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The administrator does not offer the Docker version in spec.docker.version.",
        hint="Choose a version that the message lists, or remove the field.",
    ),
    Reason.EXCEEDS_MAXIMUM: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The spec requests more than the administrator allows.",
        hint="Lower the value that the message names, or ask the administrator to raise the limit.",
    ),
    Reason.SECRET_NOT_ALLOWED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The spec references a Secret that a Sandbox may not use.",
        hint="Use a Secret whose name the administrator allows.",
    ),
    Reason.CONFIG_MAP_NOT_ALLOWED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The spec references a ConfigMap that a Sandbox may not use.",
        hint="Use a ConfigMap whose name the administrator allows.",
    ),
    Reason.VOLUME_CLAIM_NOT_ALLOWED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The spec references a PersistentVolumeClaim that a Sandbox may not use.",
        hint="Use a PersistentVolumeClaim whose name the administrator allows.",
    ),
    Reason.VOLUME_CLAIM_REJECTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The PersistentVolumeClaim for Docker's storage can't be created or does not match the spec: a quota or"
        " a policy rejected it, another PersistentVolumeClaim has its name, or it was created with another size or"
        " class.",
        hint="Set spec.docker.storage.persistentVolumeClaim to the existing values that the message names, request a"
        " smaller size, ask the administrator of the namespace, or apply a Sandbox with another name.",
    ),
    Reason.VOLUME_CLAIM_PENDING: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="The pod waits until the PersistentVolumeClaim of its storage is bound to a volume.",
        hint="If this state lasts, verify that the StorageClass in"
        " spec.docker.storage.persistentVolumeClaim.storageClassName exists and provisions volumes. `kubectl describe"
        " pvc` shows the details.",
    ),
    Reason.SERVICE_REJECTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.READY,),
        meaning="The Service for spec.ports can't be created: a quota or a policy rejected it, or another Service has"
        " its name.",
        hint="Delete or rename the other Service, give the Sandbox another name, remove spec.ports, or ask the"
        " administrator of the namespace.",
    ),
    Reason.EGRESS_NOT_ALLOWED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING, ConditionType.READY),
        meaning="spec.network.allow contains addresses that a Sandbox may not reach. They stay blocked, and Caisson"
        " creates no new pod.",
        hint="Use smaller ranges in spec.network.allow, or remove these addresses. To allow all other addresses, set"
        " spec.network.egress: Open.",
    ),
    Reason.NETWORK_POLICY_REJECTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING, ConditionType.READY),
        meaning="Caisson creates no pod because the NetworkPolicy for spec.network can't be created or was changed: a"
        " quota or a policy rejected it, another component changed it, or another NetworkPolicy has its name.",
        hint="Delete or rename the other NetworkPolicy, give the Sandbox another name, or ask the administrator of the"
        " namespace.",
    ),
    Reason.OBJECT_TOO_LARGE: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING, ConditionType.READY),
        meaning="An object of the Sandbox, or an object with its name and Caisson's label, is too large to be read."
        " While it can't be read, Caisson creates and deletes nothing that depends on it.",
        hint="Delete the object that the message names, or make it smaller than"
        f" {MAX_OBJECT_BYTES // 2**20} MiB as JSON. In JSON, some characters, such as <, take six bytes.",
    ),
    Reason.NAMESPACE_OVER_LIMIT: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.POD_RUNNING, ConditionType.READY),
        meaning="The objects of the namespace take more memory than the operator allows for a namespace. Caisson reads"
        " the oldest objects, and creates and deletes nothing for the others.",
        hint="Delete Sandboxes that you no longer need, or move long values of spec.env, command and args into a file"
        " of the image. An administrator can raise bytesPerNamespace in the operator's configuration.",
    ),
    Reason.EXPIRED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING, ConditionType.DOCKER_READY),
        meaning="The Sandbox has expired. Caisson deleted its pod and its Service, and does not create them again.",
        hint="To get a new sandbox, delete the Sandbox and apply it again. spec.lifetime limits how long a Sandbox"
        " lives and how long it may be idle. With onExpiry: Suspend, it can be resumed.",
    ),
    Reason.EXPIRES_SOON: Explanation(
        disposition=Disposition.IN_PROGRESS,
        meaning="The Sandbox expires soon.",
        hint="Save your work, or raise spec.lifetime.ttlSeconds up to the administrator's maximum."
        " spec.lifetime.onExpiry controls what happens at expiry.",
    ),
    Reason.IDLE_DETECTION_UNSUPPORTED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.POD_RUNNING,),
        meaning="spec.lifetime.idleSeconds is set, but idleness cannot be detected for sandboxes of this pool.",
        hint="Remove spec.lifetime.idleSeconds, or use a pool whose template enables Docker and has no UDP ports.",
    ),
    Reason.SUSPENDED: Explanation(
        disposition=Disposition.REQUESTED,
        conditions=(ConditionType.POD_RUNNING, ConditionType.DOCKER_READY),
        meaning="The Sandbox is suspended: Caisson stopped its pod and creates no other.",
        hint="The message explains how to resume the Sandbox.",
    ),
}
