"""The Sandbox resource, `caisson.dev/v1alpha1`: what a user wants, and what Caisson says of it.

The CRD, the reference in `docs/` and the operator's own parsing all come from these models. The docstring of a field
is what `kubectl explain` prints, so it says what the field does, its unit, and what happens when it changes.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from caisson.api.base import ApiModel, LocalObjectReference, Quantity, Time, rule, rules
from caisson.api.network import Network
from caisson.api.ports import Port
from caisson.api.registry import Registry
from caisson.api.storage import Storage
from caisson.api.volumes import Volume

GROUP = "caisson.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
PLURAL = "sandboxes"
KIND = "Sandbox"

MAX_NAME_LENGTH = 52
"""Leaves room in a DNS label (63) for a dash and the suffix of an object made for the Sandbox."""

DEFAULT_GRACE_SECONDS = 30
"""How long a sandbox has to end where its spec does not say."""

STREAM_TAIL_BYTES = 4096
"""How much of dockerd's stdout and of its stderr a crash keeps, from the end."""

_NO_NUL = r"^[^\x00]*$"

Argument = Annotated[str, Field(max_length=4096, pattern=_NO_NUL)]


class Entrypoint(StrEnum):
    """What the container runs when `command` is not set."""

    IDLE = "Idle"
    IMAGE = "Image"


class DockerSource(StrEnum):
    """Where dockerd comes from."""

    TOOLBOX = "Toolbox"
    IMAGE = "Image"


class Profile(StrEnum):
    """How dockerd is prepared and which flags it gets."""

    GVISOR = "GVisor"
    BARE = "Bare"


class RestartPolicy(StrEnum):
    """Whether a dockerd that failed is started again."""

    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class EnvVar(ApiModel):
    """One environment variable. There is no `valueFrom`: a Sandbox can't read Secrets of its namespace this way."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable: letters, digits and underscores. Names that begin with CAISSON_ are reserved."""

    value: Annotated[str, Field(max_length=32768, pattern=_NO_NUL)] = ""
    """Value of the variable. `$(NAME)` stands for another variable, `$$(NAME)` for itself, as in a Pod."""


AMOUNT = Field(
    json_schema_extra=rules(
        rule(
            "!isQuantity(string(self)) || quantity(string(self)).isGreaterThan(quantity('0'))",
            "an amount must be above 0: raise it, or leave the field out",
        ),
    ),
)


class ResourceList(ApiModel):
    """Amounts of compute resources."""

    cpu: Annotated[Quantity | None, AMOUNT] = None
    """CPU, in cores: `2` or `500m`."""

    memory: Annotated[Quantity | None, AMOUNT] = None
    """Memory, in bytes: `4Gi`. It holds the sandbox's kernel, its processes and storage of type Memory."""

    ephemeral_storage: Annotated[Quantity | None, AMOUNT, Field(alias="ephemeral-storage")] = None
    """Local disk, in bytes: `10Gi`."""


class Resources(ApiModel):
    """Compute resources of the sandbox's container, with the meaning they have in a Pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                rule(
                    f"!has(self.limits) || !has(self.requests) || !has(self.limits.{name})"
                    f" || !has(self.requests.{name}) || !isQuantity(string(self.limits.{name}))"
                    f" || !isQuantity(string(self.requests.{name}))"
                    f" || quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
                    f"requests.{name} must not be above limits.{name}: lower the one or raise the other",
                    field_path=f".requests.{name}",
                )
                for name in ("cpu", "memory")
            ),
            rule(
                "!has(self.limits) || !has(self.limits.memory) || !isQuantity(string(self.limits.memory))"
                " || quantity(string(self.limits.memory)).compareTo(quantity('32Mi')) >= 0",
                "gVisor itself needs memory: raise limits.memory to 32Mi or more",
                field_path=".limits.memory",
            ),
        ),
    )

    limits: ResourceList | None = None
    """The most that the sandbox may use. A sandbox over its memory limit is killed as a whole."""

    requests: ResourceList | None = None
    """What the scheduler sets aside. Defaults to the limits."""


class Restart(ApiModel):
    """What happens after dockerd failed. A change applies in place."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    """OnFailure starts dockerd again, after a back-off that doubles from 1 s to 5 min, where another try can help.
    Never leaves it as it ended."""

    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """How many times in a row. A daemon that was ready for 10 minutes starts the count anew."""


# -D takes no value, so another short flag may follow it in the same argument.
_OWNED_FLAGS = "^(--(pidfile|data-root|graph|exec-root|containerd|iptables|ip6tables)(=.*)?|-D*[pg].*)$"
_FLAGS_THAT_START_NOTHING = "^(--version|--help|-D*[vh])$"


class Docker(ApiModel):
    """The Docker daemon of the sandbox."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.from == 'Toolbox' || !has(self.version)",
                "version chooses a toolbox and has no effect with from: Image: remove it, or set from: Toolbox",
                field_path=".version",
            ),
            rule(
                f"self.profile == 'Bare' || !has(self.flags) || self.flags.all(f, !f.matches('{_OWNED_FLAGS}'))",
                "--pidfile, --data-root, --exec-root, --containerd, --iptables and --ip6tables are set by the GVisor "
                "profile: remove them, or set profile: Bare",
                field_path=".flags",
            ),
            rule(
                f"!has(self.flags) || self.flags.all(f, !f.matches('{_FLAGS_THAT_START_NOTHING}'))",
                "with --version or --help dockerd starts nothing: remove them",
                field_path=".flags",
            ),
            rule(
                "self.profile == 'GVisor' || !has(self.registry) || (!has(self.registry.mirrors)"
                " && !has(self.registry.insecure))",
                "registry.mirrors and registry.insecure are flags of the GVisor profile: remove them, or set profile:"
                " GVisor",
                field_path=".registry",
            ),
        ),
    )

    enabled: bool = True
    """false makes a plain gVisor sandbox: no Docker, no capabilities, and the image's USER is honoured. A change
    replaces the pod."""

    from_: Annotated[DockerSource, Field(alias="from")] = DockerSource.TOOLBOX
    """Toolbox: Caisson brings dockerd along, for any image. Image: the dockerd on the PATH of the image is run. A
    change replaces the pod."""

    version: Annotated[str | None, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)*$")] = None
    """Version of Docker, one of the toolboxes that the administrator offers. Defaults to the first of them. A change
    replaces the pod."""

    profile: Profile = Profile.GVISOR
    """GVisor: the preparation (NAT, storage, MTU) and the flags with which Docker works under gVisor. Bare: dockerd
    with no flags but yours and no preparation. A change replaces the pod."""

    flags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1024, pattern=_NO_NUL)], ...],
        Field(max_length=64),
    ] = ()
    """More flags for dockerd, each an element of its argument vector: `["--debug", "--label=a=b"]`. A change replaces
    the pod."""

    storage: Storage = Storage()
    """Where images, containers and volumes are kept. A change replaces the pod."""

    registry: Registry = Registry()
    """The registries that Docker pulls from and pushes to. A change replaces the pod."""

    pod_log: bool = True
    """`kubectl logs` shows what dockerd logs, beside what the sandbox's command prints. A change applies to the next
    start."""

    start_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long dockerd may take until `docker info` answers, in seconds; then it is stopped and the start has failed.
    A change applies to the next start."""

    restart: Restart = Restart()
    """What happens after dockerd failed. A change applies in place."""


class Lifetime(ApiModel):
    """How long the Sandbox lives."""

    ttl_seconds: Annotated[int, Field(ge=1, le=315_360_000)] | None = None
    """From the Sandbox's creation, in seconds; then its pod is deleted for good, and the Sandbox stays to say so; its
    Service and its claim stay as long. The
    administrator may set a default and a maximum. A change applies in place, until the time is up."""


class SandboxSpec(ApiModel):
    """What the user wants. Where a field says that its change replaces the pod, what was in the sandbox is lost."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.command) || self.entrypoint == 'Idle'",
                "command replaces the image's entrypoint: remove command, or entrypoint: Image",
                field_path=".command",
            ),
            rule(
                "!has(self.args) || has(self.command) || self.entrypoint == 'Image'",
                "args are given to a command: set command, or entrypoint: Image",
                field_path=".args",
            ),
            rule(
                "!self.docker.enabled || self.docker.storage.type != 'Memory'"
                " || !has(self.docker.storage.memory) || !has(self.docker.storage.memory.sizeLimit)"
                " || !has(self.resources.limits) || !has(self.resources.limits.memory)"
                " || !isQuantity(string(self.docker.storage.memory.sizeLimit))"
                " || !isQuantity(string(self.resources.limits.memory))"
                " || quantity(string(self.docker.storage.memory.sizeLimit))"
                ".isLessThan(quantity(string(self.resources.limits.memory)))",
                "docker.storage.memory.sizeLimit must be below resources.limits.memory, which it counts towards: lower"
                " the one or raise the other",
                field_path=".docker.storage.memory.sizeLimit",
            ),
        ),
    )

    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\s]+$")]
    """The container image, any image: it needs no Docker, no shell and no libc. A change replaces the pod."""

    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8)] = ()
    """Secrets with the credentials for spec.image, of those that the administrator allows by name. A change replaces
    the pod."""

    runtime_class_name: Annotated[
        str | None,
        Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    ] = None
    """The RuntimeClass, one that the administrator allows. Defaults to the first of them. A change replaces the
    pod."""

    entrypoint: Entrypoint = Entrypoint.IDLE
    """What runs when command is not set. Idle: nothing, the sandbox waits for you. Image: the image's own entrypoint;
    when it ends, the sandbox ends. A change replaces the pod."""

    command: Annotated[tuple[Argument, ...], Field(max_length=64)] | None = None
    """A command to run instead; when it ends, the sandbox ends. It is not run in a shell, but
    `$(NAME)` stands for a variable of env, as in a Pod. A change replaces the
    pod."""

    args: Annotated[tuple[Argument, ...], Field(max_length=256)] | None = None
    """Arguments for command, or for the image's entrypoint. A change replaces the pod."""

    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=128,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(e, !e.name.startsWith('CAISSON_'))",
                    "names that begin with CAISSON_ are reserved: choose another name",
                ),
                rule(
                    "self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 131072",
                    "the values have more than 131072 characters in all: put large ones into a file of the image",
                ),
            ),
        ),
    ] = ()
    """Environment variables of the container, and of dockerd. A change replaces the pod."""

    resources: Resources = Resources()
    """Compute resources. A change replaces the pod."""

    docker: Docker = Docker()
    """The Docker daemon."""

    volumes: Annotated[
        tuple[Volume, ...],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(v, self.exists_one(other, other.mountPath == v.mountPath))",
                    "two volumes are mounted at the same path: choose another mountPath for one of them",
                ),
            ),
        ),
    ] = ()
    """Volumes of your own, a workspace for example. A change replaces the pod."""

    ports: Annotated[
        tuple[Port, ...],
        Field(
            max_length=32,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(p, self.exists_one(other, other.containerPort == p.containerPort"
                    " && other.protocol == p.protocol))",
                    "two ports have the same number: remove one of them",
                ),
            ),
        ),
    ] = ()
    """Ports to reach the sandbox at. With any, a headless Service of the Sandbox's name leads to it: the name resolves
    to the pod's address, before it is Ready as well. A change applies in place."""

    network: Network = Network()
    """Whom the sandbox may talk to, and who may talk to it."""

    termination_grace_period_seconds: Annotated[int, Field(ge=2, le=3600)] = DEFAULT_GRACE_SECONDS
    """How long the sandbox has to end, in seconds: nested containers get their signals and their time, then dockerd
    ends. A change replaces the pod."""

    lifetime: Lifetime = Lifetime()
    """How long the Sandbox lives. A change applies in place."""


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

    pod_ip: Annotated[str | None, Field(alias="podIP", max_length=64)] = None
    """IP address of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node on which the pod runs."""

    docker: DockerStatus | None = None
    """The Docker daemon."""

    crash: Crash | None = None
    """The last time that dockerd failed. It stays after a recovery."""

    def condition(self, wanted: str) -> Condition | None:
        """Return the condition of a type, None where there is none."""
        return next((c for c in self.conditions if c.type == wanted), None)


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
