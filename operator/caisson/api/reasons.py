"""Condition types, and every reason that a condition, a crash or an event can carry, with its meaning and its hint.

This enumeration is the one source: the operator takes reasons from nowhere else, and `docs/reference.md` prints it.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum


class ConditionType(StrEnum):
    """The aspects of a Sandbox's state, each a condition in its status."""

    POD_RUNNING = "PodRunning"
    ISOLATED = "Isolated"
    DOCKER_READY = "DockerReady"
    READY = "Ready"


CONDITION_MEANINGS = {
    ConditionType.POD_RUNNING: "The sandbox's container runs.",
    ConditionType.ISOLATED: "The kernel that the container sees was verified to be gVisor's.",
    ConditionType.DOCKER_READY: "`docker info` answered, and the sandbox can do what this Docker needs.",
    ConditionType.READY: "All of the above that apply; its reason is that of the first which is not true.",
}


class Disposition(Enum):
    """What becomes of a state if nobody does anything."""

    HEALTHY = "good"
    REQUESTED = "as it was asked for"
    WARNING = "works, and differs from what one may expect"
    IN_PROGRESS = "in progress"
    RETRYING = "retried by Caisson"
    TERMINAL = "stays until somebody acts"


@dataclass(frozen=True)
class Explanation:
    """What a reason means, what to do about it (empty: nothing), and what becomes of it."""

    meaning: str
    hint: str
    disposition: Disposition


class Reason(StrEnum):
    """Why a condition is as it is. The values are part of the API."""

    explanation: Explanation

    def __new__(
        cls, value: str, outlook: Disposition = Disposition.IN_PROGRESS, meaning: str = "", hint: str = ""
    ) -> "Reason":  # the defaults are for looking a member up by its value
        """Make a member whose value is the word in the API, with its explanation beside it."""
        warm_pod = str.__new__(cls, value)
        warm_pod._value_ = value
        warm_pod.explanation = Explanation(meaning, hint, outlook)
        return warm_pod

    # The whole

    READY = "Ready", Disposition.HEALTHY, "Everything that the Sandbox asks for is there."
    INVALID_SPEC = (
        "InvalidSpec",
        Disposition.TERMINAL,
        "The spec does not fit this operator's version of the API.",
        "Correct the field that the message names. If the CRD is newer than the operator, upgrade the operator.",
    )
    RUNTIME_CLASS_NOT_ALLOWED = (
        "RuntimeClassNotAllowed",
        Disposition.TERMINAL,
        "spec.runtimeClassName is not one of those that the administrator allows.",
        "Choose one that the message lists, or leave the field out.",
    )
    DOCKER_VERSION_UNKNOWN = (
        "DockerVersionUnknown",
        Disposition.TERMINAL,
        "spec.docker.version is not one of the toolboxes that the administrator offers.",
        "Choose one that the message lists, or leave the field out.",
    )
    EXCEEDS_MAXIMUM = (
        "ExceedsMaximum",
        Disposition.TERMINAL,
        "The spec asks for more than the administrator allows.",
        "Lower what the message names, or ask the administrator for more.",
    )
    SECRET_NOT_ALLOWED = (
        "SecretNotAllowed",
        Disposition.TERMINAL,
        "The spec names a Secret that a Sandbox may not use.",
        "Use a Secret whose name the administrator allows.",
    )
    CONFIG_MAP_NOT_ALLOWED = (
        "ConfigMapNotAllowed",
        Disposition.TERMINAL,
        "The spec names a ConfigMap that a Sandbox may not use.",
        "Use a ConfigMap whose name the administrator allows.",
    )
    VOLUME_CLAIM_NOT_ALLOWED = (
        "VolumeClaimNotAllowed",
        Disposition.TERMINAL,
        "The spec names a PersistentVolumeClaim that a Sandbox may not use.",
        "Use a claim whose name the administrator allows.",
    )
    VOLUME_CLAIM_REJECTED = (
        "VolumeClaimRejected",
        Disposition.RETRYING,
        "The PersistentVolumeClaim for Docker's storage is not what the spec says, or can't be made: a quota or a"
        " policy refused it, another one has its name, or it was made with another size or class.",
        "Set spec.docker.storage.persistentVolumeClaim to what the message says that there is, lower its size, ask the"
        " administrator of the namespace, or apply a Sandbox of another name.",
    )
    VOLUME_CLAIM_PENDING = (
        "VolumeClaimPending",
        Disposition.IN_PROGRESS,
        "The pod waits for the PersistentVolumeClaim of its storage to be bound to a volume.",
        "If it lasts: does the class in spec.docker.storage.persistentVolumeClaim.storageClassName exist, and does it"
        " provision volumes? `kubectl describe pvc` tells.",
    )
    SERVICE_REJECTED = (
        "ServiceRejected",
        Disposition.RETRYING,
        "The Service for spec.ports can't be made: a quota or a policy refused it, or another one has its name.",
        "Delete or rename the other Service, give the Sandbox another name, leave out spec.ports, or ask the"
        " administrator of the namespace.",
    )
    EGRESS_NOT_ALLOWED = (
        "EgressNotAllowed",
        Disposition.TERMINAL,
        "spec.network.allow lists addresses that a Sandbox may not reach. They stay closed, and no new pod is made.",
        "Name smaller ranges, or remove them from spec.network.allow; for everything but them, set spec.network.egress:"
        " Open.",
    )
    NETWORK_POLICY_REJECTED = (
        "NetworkPolicyRejected",
        Disposition.RETRYING,
        "The NetworkPolicy for spec.network can't be made, or does not stay what it should be: a quota or a policy"
        " refused it, something changed it, or another one has its name. No pod is made without it.",
        "Delete or rename the other NetworkPolicy, give the Sandbox another name, or ask the administrator of the"
        " namespace.",
    )
    OBJECT_TOO_LARGE = (
        "ObjectTooLarge",
        Disposition.RETRYING,
        "An object of the Sandbox, or one that has its name and Caisson's label, is too large to be read. Until it can"
        " be read, Caisson creates and deletes nothing that depends on it.",
        "Delete the object that the message names, or make it smaller than 2 MiB as JSON. In JSON some characters, such"
        " as <, take six bytes.",
    )
    NAMESPACE_OVER_LIMIT = (
        "NamespaceOverLimit",
        Disposition.RETRYING,
        "The objects of the namespace take more memory than the operator has for them. It reads the oldest ones;"
        " Caisson creates and deletes nothing for the others.",
        "Delete Sandboxes that you no longer need, or put what is long in spec.env, command and args into a file of the"
        " image. An administrator can raise bytesPerNamespace in the operator's configuration.",
    )
    EXPIRED = (
        "Expired",
        Disposition.TERMINAL,
        "The Sandbox's lifetime is over, and its pod and its Service were deleted for good.",
        "Delete the Sandbox; apply it again for a new one. spec.lifetime says how long it lives and how long it may be"
        " idle. With onExpiry: Suspend there is a way back.",
    )
    EXPIRES_SOON = (
        "ExpiresSoon",
        Disposition.IN_PROGRESS,
        "The Sandbox's time is almost up.",
        "Save what you need, or raise spec.lifetime.ttlSeconds as far as the administrator lets you."
        " spec.lifetime.onExpiry says what becomes of the Sandbox then.",
    )
    IDLE_DETECTION_UNSUPPORTED = (
        "IdleDetectionUnsupported",
        Disposition.TERMINAL,
        "spec.lifetime.idleSeconds is set, and nobody could tell whether a sandbox of this pool is made use of.",
        "Remove spec.lifetime.idleSeconds, or use a pool whose template has Docker and no UDP ports.",
    )
    SUSPENDED = (
        "Suspended",
        Disposition.REQUESTED,
        "The Sandbox is suspended: its pod was stopped, and none is made.",
        "The message says what brings it back.",
    )

    # Pools

    POOL_NOT_FOUND = (
        "PoolNotFound",
        Disposition.RETRYING,
        "There is no SandboxPool of the name in spec.poolRef, or its spec can't be read.",
        "`kubectl get sbxp` shows those of the namespace. Apply the pool, or delete the Sandbox and apply it with"
        " another.",
    )
    POOL_EMPTY = (
        "PoolEmpty",
        Disposition.IN_PROGRESS,
        "The pool had no sandbox that was ready, so one like it is started.",
        "It takes as long as without a pool, and images of the pool's spec.preload are not in it. If it happens often,"
        " raise spec.replicas of the pool.",
    )
    POD_CLAIM_REJECTED = (
        "PodClaimRejected",
        Disposition.IN_PROGRESS,
        "The API server would not let the Sandbox have a pod of its pool, so one like it is started.",
        "Most often an admission policy or a webhook of the cluster refuses changes of a pod's owner or labels: allow"
        " Caisson's service account to make them.",
    )
    POOL_READY = "PoolReady", Disposition.HEALTHY, "As many sandboxes wait in the pool as were asked for."
    POOL_FILLING = "PoolFilling", Disposition.IN_PROGRESS, "Sandboxes of the pool are being started."
    PRELOAD_FAILED = (
        "PreloadFailed",
        Disposition.RETRYING,
        "An image in spec.preload can't be pulled in the sandboxes of the pool, so none of them counts as ready.",
        "Check the spelling in spec.preload, and spec.template.spec.docker.registry; the message is Docker's.",
    )
    POD_TEMPLATE_UNREADABLE = (
        "PodTemplateUnreadable",
        Disposition.TERMINAL,
        "This version of Caisson can't read which template of the pool the pod was created from. It keeps the pod, and"
        " does not start Docker or change the network and ports.",
        "Ask the administrator to upgrade the operator to the version that created the pod, or delete the Sandbox and"
        " apply it again.",
    )
    TEMPLATE_TOO_LARGE = (
        "TemplateTooLarge",
        Disposition.TERMINAL,
        "The template of the pool is larger than what an object's annotations can hold.",
        "Shorten spec.template.spec.env, command or args: put what is long into a file of the image.",
    )

    # The pod

    POD_RUNNING = "PodRunning", Disposition.HEALTHY, "The sandbox's container runs."
    POD_PENDING = "PodPending", Disposition.IN_PROGRESS, "The pod is being made; its container does not run yet."
    POD_TERMINATING = (
        "PodTerminating",
        Disposition.IN_PROGRESS,
        "The pod is going away: it was deleted, the Sandbox is suspended, or it gives way to one that fits the changed"
        " spec.",
    )
    POD_NAME_CONFLICT = (
        "PodNameConflict",
        Disposition.RETRYING,
        "A pod of the Sandbox's name exists and belongs to somebody else. Caisson does not touch it.",
        "Delete or rename that pod, or give the Sandbox another name.",
    )
    POD_REJECTED = (
        "PodRejected",
        Disposition.RETRYING,
        "The API server refused the pod: a quota, a limit range, an admission policy or a webhook.",
        "The message is the API server's. Ask the administrator of the namespace, or lower spec.resources.",
    )
    NAMESPACE_NOT_GUARDED = (
        "NamespaceNotGuarded",
        Disposition.RETRYING,
        "Caisson's admission policy does not hold in this namespace, so no pod is made in it.",
        "Ask the administrator to label the namespace with caisson.dev/sandboxes=true, and to see that the policies of"
        " Caisson's chart are installed.",
    )
    POD_MUTATED = (
        "PodMutated",
        Disposition.RETRYING,
        "Something changed the pod after Caisson made it: a service mesh's or another injector, or a mutating policy.",
        "Exempt the namespace, or pods with the label app.kubernetes.io/managed-by=caisson, from it; then delete the"
        " pod, if there is one.",
    )
    RUNTIME_HANDLER_NOT_ALLOWED = (
        "RuntimeHandlerNotAllowed",
        Disposition.RETRYING,
        "The RuntimeClass names a handler that is not one of gVisor's, so no pod is made.",
        "Ask the administrator to correct the RuntimeClass, or to list the handler in allowedRuntimeHandlers if it is"
        " gVisor's under another name.",
    )
    RUNTIME_CLASS_NOT_FOUND = (
        "RuntimeClassNotFound",
        Disposition.RETRYING,
        "The RuntimeClass does not exist in the cluster.",
        "`kubectl get runtimeclass` shows those that do. Ask the administrator to create it.",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        Disposition.RETRYING,
        "No node can take the pod.",
        "Lower spec.resources, or add nodes that have gVisor. The message is the scheduler's.",
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        Disposition.RETRYING,
        "The node can't pull spec.image.",
        "Check the spelling of spec.image, and that the node may pull it.",
    )
    TOOLBOX_PULL_FAILED = (
        "ToolboxPullFailed",
        Disposition.RETRYING,
        "The node can't pull the toolbox image, which brings Docker along.",
        "Ask the administrator: the operator's configuration names the toolbox's image, and nodes must be able to pull"
        " it.",
    )
    RUNTIME_HANDLER_MISSING = (
        "RuntimeHandlerMissing",
        Disposition.RETRYING,
        "The RuntimeClass names a handler that the node's containerd does not have.",
        "Install gVisor on the node (runsc and containerd-shim-runsc-v1), add the handler to containerd's configuration"
        " and restart containerd.",
    )
    VOLUME_MOUNT_FAILED = (
        "VolumeMountFailed",
        Disposition.RETRYING,
        "The node can't mount a volume of the pod. It tries again by itself.",
        "The message is the node's: a ConfigMap, a Secret or a claim that spec names may not exist, or its volume may"
        " not be attached yet.",
    )
    CONTAINER_START_FAILED = (
        "ContainerStartFailed",
        Disposition.RETRYING,
        "The node can't start the pod's sandbox or container. A pod that has failed so is replaced after 5 minutes.",
        "The message is the node's. `kubectl describe pod` shows the whole story.",
    )
    EVICTED = (
        "Evicted",
        Disposition.RETRYING,
        "The node was short of a resource and evicted the pod. A new pod takes its place after a pause.",
        "Set spec.resources.requests to what the sandbox needs, so that it is placed where there is room.",
    )
    STORAGE_LIMIT_EXCEEDED = (
        "StorageLimitExceeded",
        Disposition.TERMINAL,
        "The pod was evicted because the sandbox wrote more to disk than its limit allows.",
        "Raise spec.docker.storage.disk.sizeLimit, spec.resources.limits.ephemeral-storage or the sizeLimit of an"
        " emptyDir in spec.volumes. The new pod starts empty. Where the toolbox is copied, it counts as well.",
    )
    SANDBOX_OOM_KILLED = (
        "SandboxOOMKilled",
        Disposition.TERMINAL,
        "The sandbox needed more memory than its limit, and was killed as a whole, with everything in it.",
        "Raise spec.resources.limits.memory. With storage of type Memory, images and containers count towards it: lower"
        " spec.docker.storage.memory.sizeLimit, or use type Disk.",
    )
    CONTAINER_EXITED = (
        "ContainerExited",
        Disposition.TERMINAL,
        "The container's command has ended, and with it the sandbox.",
        "For a sandbox that waits for you, leave out command and entrypoint: Image. `kubectl logs` shows what it"
        " printed. To start it again, set spec.suspend to true and then to false: storage of type PersistentVolumeClaim"
        " stays. Deleting the Sandbox deletes that storage.",
    )
    POD_LOST = (
        "PodLost",
        Disposition.RETRYING,
        "The node shut down, restarted, failed or was lost with the pod, or it ended the pod to make room for another.",
        "Caisson creates a new pod 30 seconds after the old one has ended. A node that does not come back holds on to"
        " its pods: `kubectl delete node` gives them up.",
    )
    POD_UNKNOWN = "PodUnknown", Disposition.RETRYING, "Caisson could not look at the pod. It looks again."

    # Isolation

    GVISOR = "GVisor", Disposition.HEALTHY, "The kernel is gVisor's."
    NOT_VERIFIED = "NotVerified", Disposition.IN_PROGRESS, "Nobody has looked at the pod's kernel."
    NOT_GVISOR = (
        "NotGVisor",
        Disposition.RETRYING,
        "The node does not run the pod on gVisor, so Caisson ended the pod. It creates another one after 10 minutes.",
        "The handler of the RuntimeClass is not runsc on that node. Ask the administrator to correct the RuntimeClass"
        " or the node's containerd configuration. To try again sooner, change spec: set suspend: true, then false.",
    )

    # The Docker daemon

    DOCKER_READY = "DockerReady", Disposition.HEALTHY, "`docker info` answers, and Docker can do what it needs here."
    DOCKER_DISABLED = "DockerDisabled", Disposition.HEALTHY, "spec.docker.enabled is false."
    WAITING_FOR_POD = "WaitingForPod", Disposition.IN_PROGRESS, "dockerd starts once the pod runs on gVisor."
    DOCKER_STARTING = "DockerStarting", Disposition.IN_PROGRESS, "dockerd is starting."
    EXEC_FAILED = (
        "ExecFailed",
        Disposition.RETRYING,
        "Caisson could not look into the sandbox: the exec session failed or its answer made no sense.",
        "Caisson tries again. If it lasts, `kubectl exec` into the pod shows whether exec works at all; if what is in"
        " /run/caisson was changed by hand, delete and apply the Sandbox.",
    )

    # Crashes: reasons of DockerReady and of status.crash

    DOCKER_NOT_FOUND = (
        "DockerNotFound",
        Disposition.TERMINAL,
        "There is no dockerd on the image's PATH.",
        "Install Docker in the image, or set spec.docker.from: Toolbox, with which Caisson brings Docker along.",
    )
    PERMISSION_DENIED = (
        "PermissionDenied",
        Disposition.TERMINAL,
        "dockerd was refused something that it may normally do in a sandbox: a capability is missing, or it is not"
        " root.",
        "Something changed the pod after Caisson made it. Compare the capabilities in `kubectl get pod -o yaml` with"
        " those in the README, and look for a mutating webhook or policy.",
    )
    NET_RAW_MISSING = (
        "NetRawMissing",
        Disposition.TERMINAL,
        "The node's gVisor takes CAP_NET_RAW away, so Docker can't set up NAT, and containers would have no network.",
        'Ask the administrator to set net-raw = "true" under [runsc_config] in the runsc.toml which the RuntimeClass\'s'
        " handler names on the node (its ConfigPath), or to name another RuntimeClass; then delete and apply the"
        " Sandbox.",
    )
    PACKET_SOCKET_WRITE_MISSING = (
        "PacketSocketWriteMissing",
        Disposition.TERMINAL,
        "The node's gVisor refuses writes to packet sockets, without which Docker 28 and newer can't attach containers"
        " to a bridge.",
        'Ask the administrator to set allow-packet-socket-write = "true" under [runsc_config] in the runsc.toml which'
        " the RuntimeClass's handler names on the node; or use Docker 26.",
    )
    ADDRESS_IN_USE = (
        "AddressInUse",
        Disposition.RETRYING,
        "Another process has the address that dockerd wants, or a pid file names a process that still runs.",
        "Look for another dockerd in the image's entrypoint or command, for a stale /var/run/docker.pid, and for"
        " -H in spec.docker.flags with a port that is taken.",
    )
    NETWORK_CONTROLLER_FAILED = (
        "NetworkControllerFailed",
        Disposition.TERMINAL,
        "dockerd could not initialise its network controller.",
        "Where the end of stderr speaks of iptables or nft: set spec.docker.profile: GVisor, which starts dockerd with"
        " --iptables=false and sets up NAT in a way that gVisor supports. Else correct what it names: --bip, --bridge"
        " or --default-address-pool in spec.docker.flags.",
    )
    STORAGE_DRIVER_FAILED = (
        "StorageDriverFailed",
        Disposition.TERMINAL,
        "dockerd could not initialise its storage driver.",
        "Remove --storage-driver and storage options from spec.docker.flags and daemon.json, and set"
        " spec.docker.storage.type: Memory, where overlay2 works.",
    )
    CGROUPS_NOT_MOUNTED = (
        "CgroupsNotMounted",
        Disposition.TERMINAL,
        "dockerd found no cgroups mounted in the sandbox.",
        "The node's gVisor is too old or is configured without cgroups: ask the administrator to upgrade runsc.",
    )
    NO_SPACE_LEFT = (
        "NoSpaceLeft",
        Disposition.TERMINAL,
        "The storage of the sandbox is full.",
        "Raise spec.docker.storage.memory.sizeLimit or disk.sizeLimit; the new pod starts empty.",
    )
    INVALID_FLAGS = (
        "InvalidFlags",
        Disposition.TERMINAL,
        "dockerd refused its flags or its /etc/docker/daemon.json.",
        "Correct spec.docker.flags, spec.docker.registry, or the daemon.json in the image: the end of stderr names what"
        " is wrong.",
    )
    DOCKERD_KILLED = (
        "DockerdKilled",
        Disposition.RETRYING,
        "A signal killed dockerd.",
        "If nobody in the sandbox sent it, memory is the likely cause: raise spec.resources.limits.memory.",
    )
    START_TIMED_OUT = (
        "StartTimedOut",
        Disposition.RETRYING,
        "dockerd ran but did not answer in time, and was stopped.",
        "Raise spec.docker.startTimeoutSeconds or spec.resources.limits.cpu. The end of stderr shows how far it came.",
    )
    START_INTERRUPTED = (
        "StartInterrupted",
        Disposition.RETRYING,
        "The start ended before dockerd ran: something in the sandbox ended it.",
        "Caisson tries again. Look for what kills processes in the sandbox.",
    )
    PREPARE_FAILED = (
        "PrepareFailed",
        Disposition.RETRYING,
        "The sandbox could not be prepared for Docker: its storage, NAT or forwarding could not be set up.",
        "The end of stderr says which step failed. With an image that changes its own network or mounts, set"
        " spec.docker.profile: Bare.",
    )
    DOCKERD_EXITED = (
        "DockerdExited",
        Disposition.RETRYING,
        "dockerd ended, for a reason that Caisson does not know.",
        "Read the end of stderr in status.crash. If it is a failure that others can meet, report it to Caisson.",
    )

    # What status.docker.warnings can carry

    STORAGE_FELL_BACK_TO_VFS = (
        "StorageFellBackToVfs",
        Disposition.WARNING,
        "dockerd chose the storage driver vfs, which copies an image whole for each of its layers and each container:"
        " slow, and many times the space.",
        "overlay2 did not work on this storage. Use spec.docker.storage.type: Memory, or ask the administrator for a"
        " newer runsc, with which it works on type Disk as well.",
    )
    MTU_MISMATCH = (
        "MtuMismatch",
        Disposition.WARNING,
        "Docker's bridge takes larger packets than the sandbox's way out: connections from nested containers hang once"
        " they send much at a time.",
        "Remove --mtu from spec.docker.flags and daemon.json, and use profile: GVisor, which sets it.",
    )
    CGROUP_LIMITS_NOT_ENFORCED = (
        "CgroupLimitsNotEnforced",
        Disposition.WARNING,
        "gVisor takes limits of nested containers, and does not hold anybody to --memory and --cpus, and late to"
        " --pids-limit.",
        "spec.resources.limits holds for the sandbox as a whole. Where one container must not take from the next, give"
        " each a Sandbox of its own.",
    )
    GVISOR_TOO_OLD = (
        "GVisorTooOld",
        Disposition.WARNING,
        "The node's runsc is older than what this version of Docker was tried with: networks or storage may fail.",
        "Ask the administrator to upgrade runsc on the node, or use Docker 26.",
    )

    @property
    def page(self) -> str:
        """Where the documentation has more of it."""
        return f"docs/troubleshooting.md#{self.value.lower()}"

    @property
    def guidance(self) -> str:
        """The hint, and where the documentation has more of it."""
        return f"{self.hint} More: {self.page}"

    @property
    def hint(self) -> str:
        """What to do next; empty where nothing has to be done."""
        return self.explanation.hint

    @property
    def meaning(self) -> str:
        """What the reason means, in a sentence."""
        return self.explanation.meaning

    @property
    def disposition(self) -> Disposition:
        """What becomes of it if nobody does anything."""
        return self.explanation.disposition


CRASH_REASONS = frozenset(
    {
        Reason.DOCKER_NOT_FOUND,
        Reason.PERMISSION_DENIED,
        Reason.NET_RAW_MISSING,
        Reason.PACKET_SOCKET_WRITE_MISSING,
        Reason.ADDRESS_IN_USE,
        Reason.NETWORK_CONTROLLER_FAILED,
        Reason.STORAGE_DRIVER_FAILED,
        Reason.CGROUPS_NOT_MOUNTED,
        Reason.NO_SPACE_LEFT,
        Reason.INVALID_FLAGS,
        Reason.DOCKERD_KILLED,
        Reason.START_TIMED_OUT,
        Reason.START_INTERRUPTED,
        Reason.PREPARE_FAILED,
        Reason.DOCKERD_EXITED,
    },
)
"""The reasons that status.crash can carry. Those with the outlook RETRIED are worth another start of dockerd."""

WARNING_REASONS = frozenset(reason for reason in Reason if reason.disposition is Disposition.WARNING)
"""The reasons that status.docker.warnings can carry."""
