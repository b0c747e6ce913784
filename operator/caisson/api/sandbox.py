"""The Sandbox resource, `caisson.dev/v1alpha1`: what a user wants, and what Caisson says of it.

The CRD, the reference in `docs/` and the operator's own parsing all come from these models. The docstring of a field
is what `kubectl explain` prints, so it says what the field does, its unit, and what happens when it changes.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from caisson.api.base import ApiModel, ObjectName, Time, rule, rules
from caisson.api.startup import Startup
from caisson.api.template import IMAGE, TEMPLATE_RULES, SandboxTemplate

GROUP = "caisson.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
PLURAL = "sandboxes"
KIND = "Sandbox"

MAX_NAME_LENGTH = 52
"""Leaves room in a DNS label (63) for a dash and the suffix of an object made for the Sandbox."""

STREAM_TAIL_BYTES = 4096
"""How much of dockerd's stdout and of its stderr a crash keeps, from the end."""


class OnExpiry(StrEnum):
    """What becomes of a Sandbox that has lived, or was idle, as long as it may."""

    DELETE = "Delete"
    SUSPEND = "Suspend"


class Lifetime(ApiModel):
    """How long the Sandbox lives."""

    ttl_seconds: Annotated[int, Field(ge=1, le=315_360_000)] | None = None
    """From the Sandbox's creation, in seconds; then onExpiry says what becomes of it. The administrator may set a
    default and a maximum. A change applies in place."""

    idle_seconds: Annotated[int, Field(ge=60, le=315_360_000)] | None = None
    """For how long nobody makes use of the sandbox until onExpiry applies, in seconds. Use is a command that came by
    exec, a nested container that runs, a connection to a port of the sandbox, a process that starts others. It needs
    docker.enabled. Root in the sandbox can forge it: what must hold is ttlSeconds. A change applies in place."""

    on_expiry: OnExpiry = OnExpiry.DELETE
    """Delete: the pod and the Service are deleted for good, and the Sandbox stays to say so, with its claim. Suspend:
    the pod is stopped as with suspend: true, and comes back when ttlSeconds is raised or, after idleSeconds, with any
    change of spec. A change applies in place, until the Sandbox has expired."""


class PoolReference(ApiModel):
    """A SandboxPool in the Sandbox's own namespace."""

    name: ObjectName
    """Name of the pool."""


# What a pool's template says can't be said beside poolRef as well: who would win?
_TEMPLATE_FIELDS = tuple(field.alias or to_camel(name) for name, field in SandboxTemplate.model_fields.items())
_NOT_BESIDE_POOL = " && ".join(f"!has(self.{field})" for field in _TEMPLATE_FIELDS)


class SandboxSpec(SandboxTemplate):
    """What the user wants. Where a field says that its change replaces the pod, what was in the sandbox is lost."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *TEMPLATE_RULES,
            rule(
                "has(self.image) || has(self.poolRef)",
                "a sandbox is made from an image or taken from a pool: set image, or poolRef",
                field_path=".image",
            ),
            rule(
                f"!has(self.poolRef) || ({_NOT_BESIDE_POOL})",
                "the template of the pool says what its sandboxes are: set nothing of it beside poolRef, or remove"
                " poolRef",
                field_path=".poolRef",
            ),
            rule(
                "has(self.poolRef) == has(oldSelf.poolRef)"
                " && (!has(self.poolRef) || self.poolRef.name == oldSelf.poolRef.name)",
                "where a sandbox comes from can't be changed: delete it, and apply it anew",
                field_path=".poolRef",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds) || self.?docker.?enabled.orValue(true)",
                "lifetime.idleSeconds is watched by the probe of Docker: remove it, or docker.enabled: false",
                field_path=".lifetime.idleSeconds",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds)"
                " || !has(self.ports) || self.ports.all(p, p.?protocol.orValue('TCP') == 'TCP')",
                "lifetime.idleSeconds sees no use of a UDP port: remove it, or the port",
                field_path=".lifetime.idleSeconds",
            ),
        ),
    )

    image: Annotated[str, IMAGE] = ""
    """The container image, any image: it needs no Docker, no shell and no libc. A change replaces the pod."""

    pool_ref: PoolReference | None = None
    """Take a sandbox that is ready out of this pool, or start one like it where the pool has none. What the pool's
    template says can't be set beside it. It can't be changed."""

    lifetime: Lifetime = Lifetime()
    """How long the Sandbox lives. A change applies in place."""

    suspend: bool = False
    """true stops the pod, with the usual grace period, and makes none; the Service stays, and the claim of storage of
    type PersistentVolumeClaim with what is in it. false brings it back. A change applies in place."""

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> Self:
        if not self.image and self.pool_ref is None:
            raise ValueError("image is missing: set it, or poolRef")
        return self


class Condition(ApiModel):
    """One aspect of the Sandbox's state, as in metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    """PodRunning, Isolated, DockerReady, or Ready, which sums them up."""

    status: Literal["True", "False", "Unknown"]
    """Unknown means that Caisson could not look, or did not yet."""

    reason: Annotated[str, Field(max_length=1024)]
    """Why, in one word: see the reference of reasons."""

    message: Annotated[str, Field(max_length=32768)]
    """Why, in a sentence, with the next step."""

    last_transition_time: Time
    """When status last changed."""

    observed_generation: Annotated[int, Field(ge=0)]
    """The generation of the spec which this was said of."""


class DockerWarning(ApiModel):
    """Something about this Docker that works otherwise than one may expect."""

    reason: Annotated[str, Field(max_length=128)]
    """What it is, in one word: see docs/troubleshooting.md."""

    message: Annotated[str, Field(max_length=2048)]
    """What it means, in a sentence, with what to do."""


class DockerStatus(ApiModel):
    """The Docker daemon of the current pod, as dockerd itself reports it from inside the sandbox."""

    version: Annotated[str | None, Field(max_length=128)] = None
    """Version of dockerd."""

    origin: Annotated[str | None, Field(max_length=256)] = None
    """Where this dockerd comes from: a distribution's package, a build of our own, or the image."""

    storage_driver: Annotated[str | None, Field(max_length=64)] = None
    """The storage driver that dockerd chose."""

    warnings: Annotated[tuple[DockerWarning, ...] | None, Field(max_length=16)] = None
    """What works otherwise than one may expect."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID of dockerd inside the sandbox."""

    started_at: Time | None = None
    """When dockerd was started."""

    ready_after_milliseconds: Annotated[int | None, Field(ge=0)] = None
    """From the start of dockerd to the first `docker info` that succeeded, in milliseconds."""

    retry_count: Annotated[int | None, Field(ge=0)] = None
    """How many times `docker info` failed before it succeeded."""

    restarts: Annotated[int, Field(ge=0)] = 0
    """How many times dockerd was started again in this pod."""

    failures: Annotated[int, Field(ge=0)] = 0
    """How many times in a row dockerd failed; counted anew once it was ready for 10 minutes. The back-off and
    docker.restart.maxRetries go by it."""


class Crash(ApiModel):
    """The last time that dockerd failed. It stays after a recovery."""

    reason: Annotated[str, Field(max_length=128)]
    """Why dockerd failed, in one word: see the reference of reasons."""

    exit_code: Annotated[int | None, Field(ge=0, le=255)] = None
    """Exit code of dockerd; 128 + n where signal n ended it. Not set when it did not run or its end was not seen."""

    signal: Annotated[int | None, Field(ge=1, le=64)] = None
    """The signal that ended dockerd."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID that dockerd had inside the sandbox."""

    stdout: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard output."""

    stderr: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard error, where it logs."""

    hint: Annotated[str, Field(max_length=2048)] = ""
    """What to do next."""

    at: Time
    """When Caisson learnt of it."""

    restart: Annotated[int, Field(ge=0)] = 0
    """The number of the restart which answers this crash, 1 for the first in a pod; 0 when none follows."""


class Origin(StrEnum):
    """Where the pod of a Sandbox with poolRef comes from."""

    WARM = "Warm"
    COLD = "Cold"


class PoolStatus(ApiModel):
    """The pool that the Sandbox takes its pod from."""

    origin: Origin
    """Warm: the pod was ready in the pool. Cold: the pool had none, so one was started for this Sandbox."""

    claimed_at: Time | None = None
    """When the pod was taken out of the pool."""


class Suspension(ApiModel):
    """That no pod is made, and why. It is there before the pod is stopped."""

    reason: Annotated[str, Field(max_length=128)]
    """Requested: by spec.suspend. Lifetime: by lifetime.ttlSeconds. Idle: by lifetime.idleSeconds."""

    at: Time
    """When it began."""

    generation: Annotated[int, Field(ge=0)]
    """The generation of the spec in which it began; one for Idle holds for no other."""


class IsolationFailure(ApiModel):
    """A pod that its node did not run on gVisor. Caisson deleted it and waits before it creates the next one."""

    pod_uid: Annotated[str, Field(alias="podUID", max_length=64)]
    """UID of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node of the pod."""

    runtime_class_name: Annotated[str, Field(max_length=253)]
    """The RuntimeClass of the pod. If the Sandbox asks for another one, the next pod is created immediately."""

    generation: Annotated[int, Field(ge=0)]
    """The generation of the spec. If spec changes, the next pod is created immediately."""

    at: Time
    """When Caisson observed it. The next pod is created 10 minutes later."""


class SandboxStatus(ApiModel):
    """What Caisson says of the Sandbox."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec which this status was written for."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """PodRunning, Isolated, DockerReady and Ready."""

    pod_name: Annotated[str | None, Field(max_length=253)] = None
    """Name of the pod: `kubectl exec -it PODNAME -- docker ps`."""

    pod_uid: Annotated[str | None, Field(alias="podUID", max_length=64)] = None
    """UID of the pod that this status speaks of."""

    spec_hash: Annotated[str | None, Field(max_length=64)] = None
    """Hash of the spec that the pod has. Set only if the pod's annotation caisson.dev/spec-hash differs from the hash
    of the current spec, for example because another version of Caisson created the pod."""

    pod_ip: Annotated[str | None, Field(alias="podIP", max_length=64)] = None
    """IP address of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node on which the pod runs."""

    pool: PoolStatus | None = None
    """How the pod came about, of a Sandbox with poolRef."""

    startup: Startup | None = None
    """How the first start in the current pod went, moment by moment."""

    docker: DockerStatus | None = None
    """The Docker daemon."""

    crash: Crash | None = None
    """The last time that dockerd failed. It stays after a recovery."""

    suspension: Suspension | None = None
    """Why the Sandbox is suspended. Not set where it is not."""

    isolation_failure: IsolationFailure | None = None
    """Why no pod is created at the moment, if the last one did not run on gVisor."""

    expires_at: Time | None = None
    """When the time of lifetime.ttlSeconds, or of the administrator's, is up. Not set where it has no end."""

    expiry_announced: Time | None = None
    """The expiresAt of which the Event ExpiresSoon was recorded."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, None where there is none."""
        return next((c for c in self.conditions if c.type == type_), None)


class ObjectMeta(ApiModel):
    """The part of a Sandbox's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default={})


class Sandbox(ApiModel):
    """An image with a Docker daemon of its own, isolated by gVisor."""

    metadata: ObjectMeta
    spec: SandboxSpec
    status: SandboxStatus = SandboxStatus()
