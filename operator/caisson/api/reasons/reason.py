"""The condition types, and the reasons that a condition, a crash, a warning or an Event can have."""

from enum import StrEnum


class ConditionType(StrEnum):
    """The aspects of a Sandbox's state, each a condition in its status."""

    POD_RUNNING = "PodRunning"
    ISOLATED = "Isolated"
    DOCKER_READY = "DockerReady"
    READY = "Ready"


CONDITION_MEANINGS = {
    ConditionType.POD_RUNNING: "The sandbox's container is running.",
    ConditionType.ISOLATED: "Caisson verified that the container runs on gVisor's kernel.",
    ConditionType.DOCKER_READY: "`docker info` answers, and the sandbox provides what this version of Docker needs.",
    ConditionType.READY: "All other conditions that apply are true. If not, Ready has the reason of the first that is"
    " not true.",
}


class Reason(StrEnum):
    """Why a condition is as it is. The values are part of the API; `EXPLANATIONS` describes each."""

    # The Sandbox: its spec, its child objects, its lifetime

    READY = "Ready"
    INVALID_SPEC = "InvalidSpec"
    RUNTIME_CLASS_NOT_ALLOWED = "RuntimeClassNotAllowed"
    DOCKER_VERSION_UNKNOWN = "DockerVersionUnknown"
    EXCEEDS_MAXIMUM = "ExceedsMaximum"
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # noqa: S105  not a password
    CONFIG_MAP_NOT_ALLOWED = "ConfigMapNotAllowed"
    VOLUME_CLAIM_NOT_ALLOWED = "VolumeClaimNotAllowed"
    VOLUME_CLAIM_REJECTED = "VolumeClaimRejected"
    VOLUME_CLAIM_PENDING = "VolumeClaimPending"
    SERVICE_REJECTED = "ServiceRejected"
    EGRESS_NOT_ALLOWED = "EgressNotAllowed"
    NETWORK_POLICY_REJECTED = "NetworkPolicyRejected"
    OBJECT_TOO_LARGE = "ObjectTooLarge"
    NAMESPACE_OVER_LIMIT = "NamespaceOverLimit"
    EXPIRED = "Expired"
    EXPIRES_SOON = "ExpiresSoon"
    IDLE_DETECTION_UNSUPPORTED = "IdleDetectionUnsupported"
    SUSPENDED = "Suspended"

    # Pools

    POOL_NOT_FOUND = "PoolNotFound"
    POOL_EMPTY = "PoolEmpty"
    POD_CLAIM_REJECTED = "PodClaimRejected"
    POOL_READY = "PoolReady"
    POOL_FILLING = "PoolFilling"
    PRELOAD_FAILED = "PreloadFailed"
    POD_TEMPLATE_UNREADABLE = "PodTemplateUnreadable"
    TEMPLATE_TOO_LARGE = "TemplateTooLarge"

    # The pod and its isolation

    POD_RUNNING = "PodRunning"
    POD_PENDING = "PodPending"
    POD_TERMINATING = "PodTerminating"
    POD_NAME_CONFLICT = "PodNameConflict"
    POD_REJECTED = "PodRejected"
    NAMESPACE_NOT_GUARDED = "NamespaceNotGuarded"
    POD_MUTATED = "PodMutated"
    RUNTIME_HANDLER_NOT_ALLOWED = "RuntimeHandlerNotAllowed"
    RUNTIME_CLASS_NOT_FOUND = "RuntimeClassNotFound"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    TOOLBOX_PULL_FAILED = "ToolboxPullFailed"
    RUNTIME_HANDLER_MISSING = "RuntimeHandlerMissing"
    VOLUME_MOUNT_FAILED = "VolumeMountFailed"
    CONTAINER_START_FAILED = "ContainerStartFailed"
    EVICTED = "Evicted"
    STORAGE_LIMIT_EXCEEDED = "StorageLimitExceeded"
    SANDBOX_OOM_KILLED = "SandboxOOMKilled"
    CONTAINER_EXITED = "ContainerExited"
    POD_LOST = "PodLost"
    POD_UNKNOWN = "PodUnknown"
    GVISOR = "GVisor"
    NOT_VERIFIED = "NotVerified"
    NOT_GVISOR = "NotGVisor"

    # The Docker daemon

    DOCKER_READY = "DockerReady"
    DOCKER_DISABLED = "DockerDisabled"
    WAITING_FOR_POD = "WaitingForPod"
    DOCKER_STARTING = "DockerStarting"
    EXEC_FAILED = "ExecFailed"
    DOCKER_NOT_FOUND = "DockerNotFound"
    PERMISSION_DENIED = "PermissionDenied"
    NET_RAW_MISSING = "NetRawMissing"
    PACKET_SOCKET_WRITE_MISSING = "PacketSocketWriteMissing"
    ADDRESS_IN_USE = "AddressInUse"
    NETWORK_CONTROLLER_FAILED = "NetworkControllerFailed"
    STORAGE_DRIVER_FAILED = "StorageDriverFailed"
    CGROUPS_NOT_MOUNTED = "CgroupsNotMounted"
    NO_SPACE_LEFT = "NoSpaceLeft"
    INVALID_FLAGS = "InvalidFlags"
    DOCKERD_KILLED = "DockerdKilled"
    START_TIMED_OUT = "StartTimedOut"
    START_INTERRUPTED = "StartInterrupted"
    PREPARE_FAILED = "PrepareFailed"
    DOCKERD_EXITED = "DockerdExited"
    STORAGE_FELL_BACK_TO_VFS = "StorageFellBackToVfs"
    MTU_MISMATCH = "MtuMismatch"
    CGROUP_LIMITS_NOT_ENFORCED = "CgroupLimitsNotEnforced"
    GVISOR_TOO_OLD = "GVisorTooOld"
