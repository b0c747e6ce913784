"""Every timeout, interval, back-off and limit of the operator, with its purpose.

Names end in the unit if the value is a plain number. Retries back off exponentially from a FIRST
pause, by default BACKOFF_FIRST_SECONDS, up to a CEILING.
"""

from datetime import timedelta

# Back-off

BACKOFF_FIRST_SECONDS = 1.0
"""The first pause of an exponential back-off, in seconds."""

BACKOFF_FACTOR = 2.0
"""Factor by which each pause of an exponential back-off exceeds the previous one."""

MAX_BACKOFF_STEPS = 32
"""Number of steps after which a pause no longer grows. Computing a power with a forged count could take very long."""

# Pods

DEFAULT_GRACE_SECONDS = 30
"""The default of spec.terminationGracePeriodSeconds, in seconds."""

KUBELET_STOP_SHARE_SECONDS = 2
"""The part of the grace period that remains for the kubelet to stop the container, in seconds."""

DOCKERD_STOP_SHARE_SECONDS = 5
"""The part of the grace period that remains for dockerd to stop after its containers, in seconds."""

PROBE_DELAY_SECONDS = 5
"""Minimum time from the start of the container to the kubelet's first probe of dockerd, in seconds. The first probe
follows at the end of the first probe period, which begins with the start of the container."""

PROBE_TIMEOUT_SECONDS = 10
"""Timeout of a probe, in seconds. A late probe on a busy node must not look like a dead daemon."""

PROBE_FAILURE_THRESHOLD = 1
"""Number of consecutive failed probes after which the kubelet reports that dockerd is not ready."""

DEFAULT_MEMORY_STORAGE_BYTES = 2 * 2**30
"""Size of the tmpfs for Docker if neither the spec nor a memory limit determines it, in bytes."""

POD_DELETION_OVERDUE_AFTER = timedelta(seconds=60)
"""Time after its deletion deadline until a pod counts as lost, if its node does not confirm the deletion."""

LOST_POD_REPLACEMENT_DELAY = timedelta(seconds=30)
"""Delay before a pod is replaced that was evicted or lost with its node."""

FAILED_START_REPLACEMENT_DELAY = timedelta(minutes=5)
"""Delay before a pod is replaced whose container could not start. The next pod may fail the same way."""

NOT_GVISOR_REPLACEMENT_DELAY = timedelta(minutes=10)
"""Delay before a pod is replaced that did not run on gVisor."""

POD_EVENTS_DELAY = timedelta(seconds=2)
"""Delay before the Events of a pod are first fetched. A runtime that applies the tripwire is reported after 0.7 to
1.5 s."""

POD_EVENTS_CEILING_SECONDS = 60
"""The maximum interval between fetches of a pod's Events, in seconds. The interval grows with the age of the pod."""

# Exec sessions

SESSION_SECONDS = 15
"""Time that a session waits in the pod for the end of a start or a preload, in seconds. If it has not ended, another
session continues to wait, so that sessions of other namespaces get their turn."""

SESSION_TIMEOUT_SECONDS = 30
"""Timeout of a session, in seconds: in addition to SESSION_SECONDS, it covers the exec, preparation, and stopping a
late daemon."""

START_SESSIONS_GRACE_SECONDS = 60
"""Time that the sessions of a start may take in addition to the timeout of the start, in seconds."""

PRELOAD_TIMEOUT_SECONDS = 1800
"""Timeout of the sessions that pull the images of spec.preload, in seconds."""

SESSION_RETRY_CEILING_SECONDS = 30
"""The maximum back-off after a lost session, in seconds."""

LOST_SESSIONS_BEFORE_UNKNOWN = 3
"""Number of consecutive lost sessions before the condition becomes Unknown. A single lost session is not
significant."""

START_SLOT_SECONDS = 10.0
"""Time that a start may occupy a slot of its node, in seconds. A longer start is probably waiting rather than using the
CPU, so it releases the slot and continues."""

SESSIONS_CLOSE_TIMEOUT_SECONDS = 1.0
"""How long the sessions may take to close their connections at shutdown, in seconds."""

EXEC_HEARTBEAT_SECONDS = 15
"""Interval of websocket pings on an exec session, in seconds."""

MAX_EXEC_OUTPUT_BYTES = 256 * 1024
"""Maximum output of a command on stdout, and on stderr, in bytes."""

MAX_EXEC_FIRST_LINE_BYTES = 4096
"""Maximum length of the first line that is reported while the command runs, in bytes."""

MAX_EXEC_STATUS_BYTES = 16 * 1024
"""Maximum size of the Status object that ends a session, in bytes."""

STREAM_TAIL_BYTES = 4096
"""Maximum size of the end of a stream of dockerd in a report and in the status, in bytes. The script truncates streams
to the same size."""

MAX_REPORT_LINES = 64
"""Maximum number of lines in the output of a session, several times as many as the script prints. Parsing a line takes
longer than printing it."""

MAX_UNREADABLE_OUTPUT_BYTES = 256
"""Maximum length of a quote of the output of a session, if the output is not a report, in bytes."""

MAX_KERNEL_BYTES = 128
"""Maximum length of the version of the kernel in a report, in bytes."""

MAX_DOCKER_VERSION_BYTES = 128
"""Maximum length of the version of dockerd in a report, in bytes."""

MAX_DOCKER_ORIGIN_BYTES = 256
"""Maximum length of the origin of dockerd in a report, in bytes."""

MAX_STORAGE_DRIVER_BYTES = 64
"""Maximum length of the name of Docker's storage driver in a report, in bytes."""

MAX_QUOTED_IMAGE_BYTES = 256
"""Maximum length of the name of an image in a message, in bytes."""

# dockerd

MAX_DIAGNOSED_LINES = 16
"""Maximum number of lines at the end of dockerd's stderr that can show why dockerd exited."""

MAX_DIAGNOSED_LOG_LINES = 4
"""The same, if all lines are log lines. Earlier log lines report errors that dockerd tolerates."""

DOCKER_RESTART_CEILING_SECONDS = 300
"""The maximum back-off before dockerd is restarted, in seconds."""

DOCKER_STABLE_AFTER = timedelta(minutes=10)
"""Time that dockerd must be ready before its failure count is reset."""

UNREADY_DOCKER_CHECK_DELAY = timedelta(seconds=5)
"""Interval between checks of a daemon that the kubelet reports dead repeatedly, or whose node's clock is ahead."""

UNPROBED_DOCKER_CHECK_DELAY = timedelta(seconds=15)
"""Delay before a ready daemon is checked that the kubelet has not probed yet."""

CLAIMED_DOCKER_CHECK_DELAY = timedelta(seconds=2)
"""Delay before the daemon of a claimed pod is checked, because the claim relied on the last probe."""

REPORT_WRITE_DELAY = timedelta(seconds=1)
"""Delay of the next session until the report of the last session is in the status."""

# Child objects

CREATE_RETRY_CEILING_SECONDS = 60
"""The maximum back-off before a rejected object is created again, in seconds."""

REPAIR_CEILING_SECONDS = 5
"""The maximum back-off before an object is repaired that something else keeps changing, in seconds."""

REPAIRS_BEFORE_PROBLEM = 3
"""Number of consecutive foreign changes of an object before they are reported."""

REPAIR_PROBLEM_CLEARED_AFTER = timedelta(seconds=60)
"""Time that an object must remain unchanged before the problem is cleared."""

REPAIR_COUNT_RESET_AFTER = timedelta(minutes=10)
"""Time that an object must remain unchanged before the next change is repaired immediately again."""

GUARD_CACHE_SECONDS = 600.0
"""Time for which the result that a namespace is guarded is cached, in seconds."""

HANDLER_CACHE_SECONDS = 60.0
"""Time for which the result that a RuntimeClass has an allowed handler is cached, in seconds."""

UNGUARDED_CACHE_SECONDS = 60.0
"""Time for which a rejection is cached because the namespace is not guarded, in seconds. Until then, no Sandbox of the
namespace makes another attempt."""

PROBLEM_CACHE_SECONDS = 5.0
"""Time for which a failed precondition is cached, in seconds."""

# Lifetime

EXPIRY_WARNING_BEFORE = timedelta(minutes=5)
"""Time before the expiry of a Sandbox at which the Event ExpiresSoon is recorded."""

EXPIRY_WARNING_SHARE = 0.1
"""Fraction of the lifetime before the expiry at which the Event is recorded, if that is later."""

IDLE_QUERY_INTERVAL_SECONDS = 60
"""Minimum interval between queries of a sandbox's idle time, and validity of its answer, in seconds."""

IDLE_QUERY_DELAY = timedelta(seconds=6)
"""Delay of a query after the earliest time at which the sandbox may be idle long enough. A query that is too early, due
to truncated seconds or the first check of a claimed pod, costs a minute."""

IDLE_QUERY_CEILING_SECONDS = 900
"""The maximum back-off after failed queries, in seconds."""

# Pools

PRELOAD_RETRY_FIRST_SECONDS = 5
"""The first back-off before images are preloaded again, in seconds."""

PRELOAD_RETRY_CEILING_SECONDS = 300
"""The maximum back-off before images are preloaded again, in seconds."""

MAX_TEMPLATE_BYTES = 128 * 1024
"""Maximum size of a template in an annotation, in bytes: half of the limit for all annotations of an object."""

REMEMBERED_TEMPLATES = 128
"""Number of parsed templates that the operator caches: one for each pool, and those of pods that a rollout replaces.
A cache miss only costs time."""

MAX_PENDING_WARM_PODS = 4
"""Maximum number of pending pods of a pool, because other workloads use the nodes, too."""

ROLLOUT_SHARE = 0.25
"""Fraction of a pool's replicas that a rollout replaces at a time. It replaces at least one pod, and at most
MAX_PENDING_WARM_PODS."""

WARM_POD_REPLACEMENT_SHARE = 0.9
"""Fraction of the administrator's maximum lifetime after which a waiting pool pod is replaced at the latest, so that
its replacement is available before the maximum."""

WARM_POD_REPLACEMENT_SPREAD = 0.4
"""Pool pods that were created together are replaced over this fraction of the maximum lifetime, because a pool replaces
only a few at a time."""

POOL_FAILURE_CEILING_SECONDS = 300
"""The maximum back-off after consecutive failures of pods of a pool, in seconds."""

POOL_RECOVERED_AFTER = timedelta(seconds=60)
"""Time that a pod must be available before earlier failures no longer count."""

MAX_POOL_FAILURE_MESSAGE_BYTES = 1024
"""Maximum length of the message in status.lastFailure, in bytes."""

STATUS_DEBOUNCE = timedelta(seconds=1)
"""Delay of the write of a pool's status, because pods change in bursts."""

POOL_EVENT_REPEAT_INTERVAL = timedelta(minutes=5)
"""Minimum interval between Events for the same problem of a pool."""

POOL_REFILL_DELAY_SECONDS = 0.5
"""Delay before a pool replaces a claimed pod, so that the Sandbox gets its status first, in seconds."""

WARM_POD_VERIFICATION_WINDOW = timedelta(seconds=20)
"""Time after its start in which an operator verifies the pods that were available before: two short sessions for each,
a few at a time on each node. A Sandbox does not wait longer for them."""

CREATION_TIME_PRECISION = timedelta(seconds=1)
"""The API server truncates a pod's creation time to seconds."""

# Statuses and Events

PROGRESS_WRITE_DELAY = timedelta(seconds=3)
"""Maximum delay of the write of a status that only reports progress."""

MAX_EVENT_MESSAGE_BYTES = 1024
"""Maximum length of the message of an Event, in bytes."""

MAX_EXTERNAL_MESSAGE_BYTES = 512
"""Maximum length of a quote of the kubelet, the scheduler or dockerd in a message, in bytes."""

MAX_REJECTION_MESSAGE_BYTES = 512
"""Maximum length of a quote of the API server's response in a message, in bytes."""

WRITE_CONFLICT_RETRY_DELAY = timedelta(seconds=5)
"""Delay before the next reconcile after a conflict. Usually, the watch requeues the object earlier."""

HANDOVER_WINDOW = timedelta(minutes=1)
"""Age up to which a new operator completes Events and claims that its predecessor may have left unfinished."""

# Work queue

REQUEUE_FIRST_SECONDS = 0.25
"""The first back-off after a failed reconcile, in seconds."""

REQUEUE_CEILING_SECONDS = 300
"""The maximum back-off after a failed reconcile, in seconds."""

NAMESPACE_WORKER_SHARE = 0.25
"""Maximum fraction of the workers that reconcile objects of one namespace at a time, so that a namespace whose requests
hang does not stop the others."""

RESYNC_INTERVAL = timedelta(minutes=10)
"""Interval at which a Sandbox or a pool is reconciled without a change. This needs no request and corrects a lost
requeue."""

# API server

REQUEST_TIMEOUT_SECONDS = 30
"""Timeout of a request, in seconds."""

CREATE_TIMEOUT_SECONDS = 12
"""Timeout of the creation of an object, in seconds. A slow admission webhook of a tenant delays creations. The default
timeout of a webhook is 10 s: after it, the API server reports the webhook, or ignores it and creates the object."""

MAX_REQUEST_ATTEMPTS = 3
"""Maximum number of attempts of a request that the API server defers with Retry-After."""

MAX_RETRY_AFTER_SECONDS = 60
"""Maximum Retry-After that is respected, in seconds."""

LIST_PAGE_SIZE = 64
"""Number of objects in a page of a list."""

MAX_POD_EVENTS = 100
"""Maximum number of Events of a pod that are read."""

MAX_ERROR_MESSAGE_LENGTH = 256
"""Maximum length of a quote of an error response in an error message, in characters."""

MAX_LOGGED_VERSION_LENGTH = 64
"""Maximum length of a field of the API server's version in a log line, in characters."""

REMEMBERED_RANGES = 16
"""Number of lists of excluded address ranges whose peers in NetworkPolicies are cached."""

WATCH_QUIET_SECONDS = 75
"""Time without data after which a watch counts as disconnected, in seconds. The API server sends a bookmark about once
a minute."""

KOPF_WATCH_QUIET_SECONDS = 75.0
"""The same for kopf's watches."""

KOPF_WATCH_SECONDS = 300
"""Maximum duration of a watch request of kopf, in seconds. The API server requires an integer."""

KOPF_REQUEST_TIMEOUT_SECONDS = 30.0
"""Timeout of a request of kopf, in seconds."""

KOPF_CONNECT_TIMEOUT_SECONDS = 5.0
"""Timeout of a connection of kopf to the API server, in seconds."""

KOPF_RETRY_PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The first pauses before kopf repeats a failed request, in seconds."""

KOPF_RETRY_CEILING_SECONDS = 15.0
"""Each further pause before kopf repeats a failed request, in seconds."""

KOPF_PAGE_SIZE = 16
"""Number of objects in a page of kopf's lists. Each object has at most 1.5 MiB."""

KOPF_IDLE_TIMEOUT_SECONDS = 0.2
"""Time after which kopf ends the worker of an object without events, in seconds. Until then, the worker holds the
object in memory."""

KOPF_CREDENTIALS_LIFETIME = timedelta(minutes=5)
"""Time after which kopf reloads its credentials, because the file with the service account token is renewed."""

SANDBOX_WATCH_CEILING_SECONDS = 60
"""The maximum back-off before kopf's watch is restarted, and the time that it must run to count as working, in
seconds."""

INFORMER_RETRY_FIRST_SECONDS = 0.2
"""The first back-off before an informer watches again, in seconds."""

INFORMER_RETRY_CEILING_SECONDS = 30
"""The maximum back-off before an informer watches again, in seconds."""

INFORMER_WATCH_SECONDS = 300
"""Maximum duration of a watch request, in seconds."""

WATCH_EARLY_END_SECONDS = 1
"""How much earlier than its maximum duration a watch may end without counting as failed, in seconds."""

LIST_RETRY_SECONDS = 5
"""Delay before a failed list is retried, in seconds."""

RELIST_INTERVAL_SECONDS = 60.0
"""How often the metadata of Sandboxes and pools is listed, in seconds. This is how long a deletion that kopf's watch
missed may stay unnoticed."""

RELIST_GRACE_SECONDS = 2.0
"""How long kopf's watch has to deliver an object that a list shows before the operator reads it, in seconds."""

METADATA_PAGE_SIZE = 200
"""How many objects a page of a list of metadata has. One object takes 2 to 4 kB, most of it managedFields. A larger
page would occupy the event loop for longer."""

VERSION_RETRY_CEILING_SECONDS = 30
"""The maximum back-off before the version of the API server is requested again, in seconds."""

REMEMBERED_DELETIONS = 4096
"""Number of deletions that a store records, so that a late response does not restore a deleted object."""

MAX_OUTDATED_AGES = 64
"""Number of outdated entries in the order of age of a namespace's objects, in addition to one for each object, above
which the outdated entries are removed."""

LEASE_RETRY_JITTER = 0.2
"""Fraction by which the pause between attempts to acquire the Lease varies, so that the replicas that wait do not retry
at the same time."""

RELEASED_LEASE_SECONDS = 1
"""Duration in a released Lease, in seconds. The API server does not accept 0."""

LEASE_RELEASE_TIMEOUT_SECONDS = 5.0
"""Timeout of the release of the Lease at shutdown, in seconds."""

LIST_AFTER_INITIAL_EVENTS_SECONDS = 10.0
"""Time after which the initial events of a watch are checked against a list, in seconds."""

REREAD_PAUSE_SECONDS = 1.0
"""Delay before dropped objects are read again, in seconds. Objects are often deleted in large numbers."""

REREAD_PERIOD_SECONDS = 60.0
"""Interval at which dropped objects are read again if there is room, in seconds."""

MAX_OBJECT_BYTES = 2 * 2**20
"""Maximum size of an object that is read, as JSON, in bytes. Custom resources are stored as JSON of at most 1.5 MiB.
Objects of built-in kinds are stored in another format and can be several times as large as JSON."""

OBJECT_PREFIX_BYTES = 512 * 2**10
"""Size of the prefix of a larger object that is searched for its metadata, in bytes."""

MAX_METADATA_BYTES = 8 * 2**20
"""Maximum size of a list of metadata, in bytes."""

MAX_ERROR_BYTES = 64 * 2**10
"""Maximum size of an error response that is read, in bytes."""

LIST_TIMEOUT_SECONDS = 300
"""Timeout of the initial events of a watch, in seconds."""

SIMPLE_OBJECT_BYTES = 64 * 2**10
"""Size up to which the number of values in an object is not limited, in bytes."""

MAX_OBJECT_VALUES = 20_000
"""Maximum number of values in a larger object. With a text such as `{},{},…`, a value takes fifty times as much space
in memory as in the text. Caisson's own objects have a few thousand values."""

OBJECT_OVERHEAD_BYTES = 256
"""Memory of an object in addition to its text, in bytes."""

MAX_STUB_TEXT_LENGTH = 512
"""Maximum length of a name or a label in the stub of an object that is not read, in characters."""

KOPF_OBJECTS_PER_SECOND = 1000
"""Maximum number of objects passed to kopf per second. The initial events of a watch arrive at once, and kopf starts a
task for each object."""

KOPF_BURST_SECONDS = 0.05
"""Burst above the rates of objects and bytes, in seconds of that rate."""

KOPF_BYTES_PER_SECOND = 32 * 2**20
"""Maximum number of bytes of objects passed to kopf per second. Multiplied by kopf's idle timeout, this is the memory
of kopf's objects."""

# Health

UNDELIVERED_WRITE_SECONDS = 60.0
"""Maximum delay until the watch delivers a written status, in seconds."""

STUCK_LOOP_SECONDS = 300.0
"""Maximum duration of one iteration of a watch loop, in seconds."""

FAILING_PART_SECONDS = 120.0
"""Maximum time for which a component may fail continuously, in seconds."""
