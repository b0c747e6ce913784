"""The reasons that concern the Docker daemon: its state, its crashes and its warnings."""

from caisson.api.reasons.explanation import Disposition, Explanation
from caisson.api.reasons.reason import ConditionType, Reason

EXPLANATIONS = {
    Reason.DOCKER_READY: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.DOCKER_READY,),
        meaning="`docker info` answers, and the sandbox provides what Docker needs.",
    ),
    Reason.DOCKER_DISABLED: Explanation(
        disposition=Disposition.HEALTHY,
        conditions=(ConditionType.DOCKER_READY,),
        meaning="spec.docker.enabled is false.",
    ),
    Reason.WAITING_FOR_POD: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.DOCKER_READY,),
        meaning="dockerd starts when the pod runs on gVisor.",
    ),
    Reason.DOCKER_STARTING: Explanation(
        disposition=Disposition.IN_PROGRESS,
        conditions=(ConditionType.DOCKER_READY,),
        meaning="dockerd is starting.",
    ),
    Reason.EXEC_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.ISOLATED, ConditionType.DOCKER_READY),
        meaning="Caisson could not inspect the sandbox: the exec session failed, or its output was invalid.",
        hint="Caisson retries. If this state lasts, use `kubectl exec` to verify that exec sessions into the pod work."
        " If files in /run/caisson were changed by hand, delete the Sandbox and apply it again.",
    ),
    Reason.DOCKER_NOT_FOUND: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="The image has no dockerd on its PATH.",
        hint="Install Docker in the image, or set spec.docker.from: Toolbox to use the Docker that Caisson provides.",
    ),
    Reason.PERMISSION_DENIED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd was denied an operation that a sandbox normally allows: a capability is missing, or dockerd"
        " does not run as root.",
        hint="Another component changed the pod after Caisson created it. Compare the capabilities in `kubectl get pod"
        " -o yaml` with docs/reference.md#capabilities, and look for a mutating webhook or policy.",
    ),
    Reason.NET_RAW_MISSING: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="gVisor on the node removes CAP_NET_RAW, so Docker can't set up NAT, and containers have no network.",
        hint='Ask the administrator to set net-raw = "true" under [runsc_config] in the runsc.toml that the'
        " RuntimeClass's handler names on the node (its ConfigPath), or to provide another RuntimeClass. Then delete"
        " the Sandbox and apply it again.",
    ),
    Reason.PACKET_SOCKET_WRITE_MISSING: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="gVisor on the node rejects writes to packet sockets, which Docker 28 and later need to attach"
        " containers to a bridge.",
        hint='Ask the administrator to set allow-packet-socket-write = "true" under [runsc_config] in the runsc.toml'
        " that the RuntimeClass's handler names on the node, or use Docker 26.",
    ),
    Reason.ADDRESS_IN_USE: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="Another process uses the address that dockerd needs, or a PID file names a running process.",
        hint="Look for another dockerd in the image's entrypoint or command, for a stale /var/run/docker.pid, and for"
        " -H in spec.docker.flags with a port that is in use.",
    ),
    Reason.NETWORK_CONTROLLER_FAILED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd could not initialize its network controller.",
        hint="If stderr mentions iptables or nft, set spec.docker.profile to GVisor, which starts dockerd with"
        " --iptables=false and sets up NAT in a way that gVisor supports. Otherwise, correct the option that stderr"
        " names: --bip, --bridge or --default-address-pool in spec.docker.flags.",
    ),
    Reason.STORAGE_DRIVER_FAILED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd could not initialize its storage driver.",
        hint="Remove --storage-driver and storage options from spec.docker.flags and daemon.json, and set"
        " spec.docker.storage.type to Memory, which supports overlay2.",
    ),
    Reason.CGROUPS_NOT_MOUNTED: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd found no cgroups mounted in the sandbox.",
        hint="gVisor on the node is too old or is configured without cgroups. Ask the administrator to upgrade runsc.",
    ),
    Reason.NO_SPACE_LEFT: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="The storage of the sandbox is full.",
        hint="Raise spec.docker.storage.memory.sizeLimit or disk.sizeLimit. The new pod starts empty.",
    ),
    Reason.INVALID_FLAGS: Explanation(
        disposition=Disposition.TERMINAL,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd rejected its flags or its /etc/docker/daemon.json.",
        hint="Correct spec.docker.flags, spec.docker.registry, or the daemon.json in the image. The end of stderr names"
        " the error.",
    ),
    Reason.DOCKERD_KILLED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="A signal killed dockerd.",
        hint="If no process in the sandbox sent the signal, the likely cause is memory: raise"
        " spec.resources.limits.memory.",
    ),
    Reason.START_TIMED_OUT: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd was running but did not answer in time, and was stopped.",
        hint="Raise spec.docker.startTimeoutSeconds or spec.resources.limits.cpu. The end of stderr shows the last step"
        " of the start.",
    ),
    Reason.START_INTERRUPTED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="The start could not run dockerd, because another start did not finish.",
        hint="Caisson retries. Look for a program that kills or stops processes in the sandbox.",
    ),
    Reason.PREPARE_FAILED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="The sandbox could not be prepared for Docker: setting up its storage, NAT or IP forwarding failed.",
        hint="The end of stderr names the failed step. If the image changes its own network or mounts, set"
        " spec.docker.profile to Bare.",
    ),
    Reason.DOCKERD_EXITED: Explanation(
        disposition=Disposition.RETRYING,
        conditions=(ConditionType.DOCKER_READY,),
        is_crash=True,
        meaning="dockerd exited for an unknown reason.",
        hint="Read the end of stderr in status.crash. If others can encounter the failure, report it to the Caisson"
        " project.",
    ),
    Reason.STORAGE_FELL_BACK_TO_VFS: Explanation(
        disposition=Disposition.WARNING,
        meaning="dockerd selected the storage driver vfs, which is slow and needs much more space, because it copies"
        " the whole image for each layer and each container.",
        hint="overlay2 did not work on this storage. Set spec.docker.storage.type to Memory, or ask the administrator"
        " for a newer runsc, which supports overlay2 on type Disk as well.",
    ),
    Reason.MTU_MISMATCH: Explanation(
        disposition=Disposition.WARNING,
        meaning="The MTU of Docker's bridge exceeds the MTU of the sandbox's network, so connections from nested"
        " containers hang when they send large packets.",
        hint="Remove --mtu from spec.docker.flags and daemon.json, and set spec.docker.profile to GVisor, which sets"
        " the MTU.",
    ),
    Reason.CGROUP_LIMITS_NOT_ENFORCED: Explanation(
        disposition=Disposition.WARNING,
        is_universal=True,
        meaning="gVisor accepts resource limits for nested containers but does not enforce --memory and --cpus, and"
        " enforces --pids-limit late.",
        hint="spec.resources.limits applies to the whole sandbox. To limit containers individually, run each in its own"
        " Sandbox.",
    ),
    Reason.GVISOR_TOO_OLD: Explanation(
        disposition=Disposition.WARNING,
        meaning="runsc on the node is older than the versions that this version of Docker was tested with: networks or"
        " storage may fail.",
        hint="Ask the administrator to upgrade runsc on the node, or use Docker 26.",
    ),
}
