"""Every timeout, interval, back-off and limit of the operator, with its purpose.

Names end in the unit if the value is a plain number. Retries back off exponentially up to a CEILING.
"""

from datetime import timedelta

# Pods

DEFAULT_GRACE_SECONDS = 30
"""How long a sandbox has to stop if its spec does not set it, in seconds."""

KUBELET_STOP_SHARE_SECONDS = 2
"""The part of the grace period that is left for the end of the container, in seconds."""

DOCKERD_STOP_SHARE_SECONDS = 5
"""The part of the grace period that is left for the end of dockerd after its containers ended, in seconds."""

PROBE_DELAY_SECONDS = 5
"""The kubelet does not probe dockerd earlier than this after the start of the container, in seconds. Its first probe
comes at the end of the first probe period: the start of the container begins a new period."""

PROBE_TIMEOUT_SECONDS = 10
"""How long a probe may take, in seconds. A late probe on a busy node must not look like a dead daemon."""

POD_DELETION_OVERDUE_AFTER = timedelta(seconds=60)
"""How late a node may confirm the deletion of a pod before the pod counts as lost."""

LOST_POD_REPLACEMENT_DELAY = timedelta(seconds=30)
"""How long after its end a pod is replaced that was evicted or lost with its node."""

FAILED_START_REPLACEMENT_DELAY = timedelta(minutes=5)
"""How long after its end a pod is replaced whose container could not start. The next one probably fails, too."""

NOT_GVISOR_REPLACEMENT_DELAY = timedelta(minutes=10)
"""How long after its end a pod is replaced that did not run on gVisor."""

POD_EVENTS_DELAY = timedelta(seconds=2)
"""How long after its creation the Events of a pod are first read. A runtime that applies the tripwire is reported after
0.7 to 1.5 s."""

POD_EVENTS_CEILING_SECONDS = 60
"""The longest pause between two reads of a pod's Events, in seconds. The pause grows with the age of the pod."""

# Exec sessions

VERIFY_TIMEOUT_SECONDS = 30
"""How long a session may take that only verifies the kernel, in seconds."""

START_SESSION_GRACE_SECONDS = 30
"""What a session may take beyond the timeout of the start itself, in seconds: exec, preparation, and stopping a late
daemon."""

IDLE_QUERY_TIMEOUT_SECONDS = 30
"""How long a session may take that asks how long a sandbox has been idle, in seconds."""

PRELOAD_TIMEOUT_SECONDS = 1800
"""How long a session may take that pulls the images of spec.preload, in seconds."""

SESSION_RETRY_CEILING_SECONDS = 30
"""The longest pause before a lost session is opened again, in seconds."""

LOST_SESSIONS_BEFORE_UNKNOWN = 3
"""How many sessions in a row must be lost before the condition becomes Unknown. One lost session says nothing about the
sandbox."""

START_SLOT_SECONDS = 10.0
"""How long a start may occupy a slot of its node, in seconds. A start that takes longer hangs rather than works, so it
gives up the slot and continues."""

SESSIONS_CLOSE_TIMEOUT_SECONDS = 1.0
"""How long the sessions may take to close their connections at shutdown, in seconds."""

EXEC_HEARTBEAT_SECONDS = 15
"""The interval of websocket pings on an exec session, in seconds."""

MAX_EXEC_OUTPUT_BYTES = 256 * 1024
"""The most that a command may print on stdout, and on stderr, in bytes."""

MAX_EXEC_FIRST_LINE_BYTES = 4096
"""The longest first line that is passed on while the command runs, in bytes."""

MAX_EXEC_STATUS_BYTES = 16 * 1024
"""The longest Status object that may end a session, in bytes."""

STREAM_TAIL_BYTES = 4096
"""How much of the end of a stream of dockerd a report contains and the status keeps, in bytes. The script cuts the
stream at the same size."""

MAX_REPORT_LINES = 64
"""The most lines in the output of a session: several times what the script prints. Reading a line takes longer than
printing it."""

# dockerd

DOCKER_RESTART_CEILING_SECONDS = 300
"""The longest back-off before dockerd is restarted, in seconds."""

DOCKER_STABLE_AFTER = timedelta(minutes=10)
"""How long dockerd must have been ready before its failures are counted anew."""

UNREADY_DOCKER_CHECK_DELAY = timedelta(seconds=5)
"""The pause between checks of a daemon that the kubelet reports dead again and again, or whose node's clock is
ahead."""

UNPROBED_DOCKER_CHECK_DELAY = timedelta(seconds=15)
"""When a daemon is checked that was ready and that the kubelet has not probed since."""

CLAIMED_DOCKER_CHECK_DELAY = timedelta(seconds=2)
"""When the daemon of a pod is checked that was claimed from a pool: the last probe was trusted for the claim."""

REPORT_WRITE_DELAY = timedelta(seconds=1)
"""How long the next session waits until the report of the last one is in the status."""

# Child objects

CREATE_RETRY_CEILING_SECONDS = 60
"""The longest back-off before a rejected object is created again, in seconds."""

REPAIR_CEILING_SECONDS = 5
"""The longest back-off before an object is repaired that something else keeps changing, in seconds."""

REPAIRS_BEFORE_PROBLEM = 3
"""How many times in a row something else must have changed an object back before it is reported."""

REPAIR_PROBLEM_CLEARED_AFTER = timedelta(seconds=60)
"""How long an object must stay unchanged before the report is withdrawn."""

REPAIR_COUNT_RESET_AFTER = timedelta(minutes=10)
"""How long an object must stay unchanged before the next change is repaired immediately again."""

GUARD_CACHE_SECONDS = 600.0
"""How long it is remembered that a namespace is guarded, in seconds."""

HANDLER_CACHE_SECONDS = 60.0
"""How long it is remembered that a RuntimeClass has an allowed handler, in seconds."""

PROBLEM_CACHE_SECONDS = 5.0
"""How long it is remembered that a precondition does not hold, in seconds."""

# Lifetime

EXPIRY_WARNING_BEFORE = timedelta(minutes=5)
"""How long before its expiry a Sandbox gets the Event ExpiresSoon."""

EXPIRY_WARNING_SHARE = 0.1
"""The Event comes in this last part of the lifetime, if that is shorter (a fraction)."""

IDLE_QUERY_INTERVAL_SECONDS = 60
"""How often a sandbox is asked whether it is idle at the most, and how long its answer is valid, in seconds."""

IDLE_QUERY_DELAY = timedelta(seconds=6)
"""How much later than the earliest moment a sandbox is asked. A query that is too early, because seconds are cut off or
because of the first check of a claimed pod, costs a minute."""

IDLE_QUERY_CEILING_SECONDS = 900
"""The longest pause between two queries that get no answer, in seconds."""

# Pools

PRELOAD_RETRY_CEILING_SECONDS = 300
"""The longest back-off before images are preloaded again, in seconds."""

MAX_TEMPLATE_BYTES = 128 * 1024
"""The largest template that fits into an annotation, in bytes: half of what the annotations of an object may have
together."""

REMEMBERED_TEMPLATES = 128
"""How many templates the operator remembers in parsed form: one for each pool, and those of pods that a rollout
replaces. More than these only cost time."""

MAX_PENDING_WARM_PODS = 4
"""How many pods of a pool may be pending at a time, because others use the nodes, too."""

POOL_FAILURE_CEILING_SECONDS = 300
"""The longest back-off after pods of a pool failed in a row, in seconds."""

POOL_RECOVERED_AFTER = timedelta(seconds=60)
"""How long a pod must have been available before earlier failures no longer count."""

MAX_POOL_FAILURE_MESSAGE_BYTES = 1024
"""The longest message in status.lastFailure, in bytes."""

STATUS_DEBOUNCE = timedelta(seconds=1)
"""How long the status of a pool may differ from what is written: pods come and go in bursts."""

POOL_EVENT_REPEAT_INTERVAL = timedelta(minutes=5)
"""How often the same problem of a pool is recorded as an Event at the most."""

POOL_REFILL_DELAY_SECONDS = 0.5
"""How long a pool waits before it replaces a claimed pod, so that the Sandbox gets its status first, in seconds."""

WARM_POD_VERIFICATION_WINDOW = timedelta(seconds=20)
"""How long after its start an operator has to verify the pods that were available before: two short sessions for each,
a few at a time on each node. A Sandbox does not wait longer for them."""

CREATION_TIME_PRECISION = timedelta(seconds=1)
"""The API server cuts off the fraction of a second of a pod's creation time."""

# Statuses and Events

PROGRESS_WRITE_DELAY = timedelta(seconds=3)
"""How long the write of a status that only reports progress may be deferred."""

MAX_EVENT_MESSAGE_BYTES = 1024
"""The longest message of an Event, in bytes."""

MAX_EXTERNAL_MESSAGE_BYTES = 512
"""How much of the words of the kubelet, the scheduler or dockerd a message quotes, in bytes."""

MAX_REJECTION_MESSAGE_BYTES = 512
"""How much of the API server's answer a message quotes, in bytes."""

WRITE_CONFLICT_RETRY_DELAY = timedelta(seconds=5)
"""When to reconcile again after a conflict: usually the watch wakes the object earlier."""

HANDOVER_WINDOW = timedelta(minutes=1)
"""How far an operator looks back, at its first look, for Events and claims that its predecessor may not have
finished."""

# Work queue

REQUEUE_CEILING_SECONDS = 300
"""The longest back-off after a reconcile failed, in seconds."""

RESYNC_INTERVAL = timedelta(minutes=10)
"""How often a Sandbox or a pool is reconciled if nothing wakes it. This costs no request, and heals a lost wake-up."""

# API server

REQUEST_TIMEOUT_SECONDS = 30
"""How long a request may take, in seconds."""

MAX_REQUEST_ATTEMPTS = 3
"""How many times a request is made that the API server defers with Retry-After."""

MAX_RETRY_AFTER_SECONDS = 60
"""The longest Retry-After that is respected, in seconds."""

LIST_PAGE_SIZE = 64
"""How many objects a page of a list has."""

WATCH_QUIET_SECONDS = 75
"""The API server sends a bookmark about once a minute; a watch that is silent for longer, in seconds, is a dead
connection."""

KOPF_WATCH_QUIET_SECONDS = 75.0
"""The same for kopf's watches."""

KOPF_CREDENTIALS_LIFETIME = timedelta(minutes=5)
"""How long kopf uses credentials before it asks for them again: the token of a service account is renewed in its
file."""

SANDBOX_WATCH_CEILING_SECONDS = 60
"""The longest back-off before kopf's watch is started again, and how long it must last to count as working, in
seconds."""

INFORMER_RETRY_CEILING_SECONDS = 30
"""The longest back-off before an informer watches again, in seconds."""

INFORMER_WATCH_SECONDS = 300
"""How long one watch request lasts at the most, in seconds."""

LIST_RETRY_SECONDS = 5
"""When a failed list is tried again, in seconds."""

RELIST_INTERVAL_SECONDS = 60.0
"""How often the metadata of Sandboxes and pools is listed, in seconds. This is how long a deletion that kopf's watch
missed may stay unnoticed."""

RELIST_GRACE_SECONDS = 2.0
"""How long kopf's watch has to deliver an object that a list shows before the operator reads it, in seconds."""

METADATA_PAGE_SIZE = 200
"""How many objects a page of a list of metadata has. One object takes 2 to 4 kB, most of it managedFields. A larger
page would occupy the event loop for longer."""

VERSION_RETRY_CEILING_SECONDS = 30
"""The longest back-off before the API server is asked for its version again, in seconds."""

REMEMBERED_DELETIONS = 4096
"""How many deleted objects a store remembers, so that a late answer does not bring them back."""

LEASE_RELEASE_TIMEOUT_SECONDS = 5.0
"""How long the release of the Lease may take at shutdown, in seconds."""

LIST_AFTER_INITIAL_EVENTS_SECONDS = 10.0
"""How long initial events may last before they are checked against a list, in seconds."""

REREAD_PAUSE_SECONDS = 1.0
"""The pause before dropped objects are read again, in seconds: objects are often deleted many at a time."""

REREAD_PERIOD_SECONDS = 60.0
"""How often dropped objects are read again if there is room, in seconds."""

MAX_OBJECT_BYTES = 2 * 2**20
"""The most that is read of one object, as JSON, in bytes. Custom resources are stored as JSON, of 1.5 MiB at the most;
objects of built-in kinds are stored in another format, and can be several times as large as JSON."""

OBJECT_PREFIX_BYTES = 512 * 2**10
"""How much of a larger object is searched for its metadata, in bytes."""

MAX_METADATA_BYTES = 8 * 2**20
"""The largest list of metadata that is read, in bytes."""

MAX_ERROR_BYTES = 64 * 2**10
"""How much is read of an error answer, in bytes."""

LIST_TIMEOUT_SECONDS = 300
"""How long the initial events of a watch may take, in seconds."""

SIMPLE_OBJECT_BYTES = 64 * 2**10
"""Up to which size an object may consist of any number of values, in bytes."""

MAX_OBJECT_VALUES = 20_000
"""How many values a larger object may consist of. In memory a value takes fifty times as much as in text, if the text
is `{},{},…`; an object of Caisson's own has a few thousand."""

OBJECT_OVERHEAD_BYTES = 256
"""What an object takes in memory beside its text, in bytes."""

MAX_STUB_TEXT_LENGTH = 512
"""The longest name or label that is kept of an object that is not read, in characters."""

KOPF_OBJECTS_PER_SECOND = 1000
"""How many objects are handed to kopf per second: a list that is a watch has all objects at once, and kopf has a task
for each."""

KOPF_BURST_SECONDS = 0.05
"""How far the pace of objects and bytes may be exceeded for a moment, in seconds of that pace."""

KOPF_BYTES_PER_SECOND = 32 * 2**20
"""How many bytes of objects are handed to kopf per second: multiplied by kopf's idle timeout, it is what kopf holds of
them."""

# Health

UNDELIVERED_WRITE_SECONDS = 60.0
"""How long the watch may take to deliver a status that was written, in seconds."""

STUCK_LOOP_SECONDS = 300.0
"""How long a watch loop may take for one round, in seconds."""

FAILING_PART_SECONDS = 120.0
"""How long a part may fail again and again, in seconds."""
