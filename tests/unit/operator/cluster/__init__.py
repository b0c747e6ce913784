"""A cluster in memory for unit tests: the real operator runs, and only the cluster around it is simulated.

The real API client, informers, work queues and controllers run on an API server in memory (`api_server`), which is a
transport (`caisson.kube.transport`). The simulated parts are that server, the kubelet of one node (`kubelet`), the exec
sessions (`executor`) and kopf's watches (`kopf_watch`). The time is virtual (`event_loop`): a test never sleeps, and an
hour takes milliseconds. A wake-up that is lost shows as a step that does not happen until the resync.

A test uses the fixture `cluster` and has the form

    async def test_a_crash_is_reported(cluster: Cluster) -> None:
        cluster.executor.answer("demo", KILLED_ANSWER)       # arrange: scripted sessions, faults, policies
        cluster.apply_sandbox(docker={...})                  # act: as a user, or as the kubelet
        await cluster.settle()                               # run until nothing can happen at this moment
        cluster.kubelet.runs("demo")
        await cluster.settle()
        assert cluster.condition() == ("False", Reason.DOCKERD_KILLED)   # assert on objects and requests

To port a test of `World` or `PoolWorld`:

| there | here |
|---|---|
| `world.reconcile(n)`, `pools.reconcile(...)`, `look(...)` | `settle()`; if a pause is involved, `advance(seconds)` |
| `world.pods.put(world.kube.pod_runs())` | `kubelet.runs("demo")`; then `becomes_ready`, as only a probe makes it so |
| `world.executor.answers = [...]` | `executor.answer(pod, ...)`; READY_ANSWER and the like are the default |
| `becomes_ready(world)`, `world.fill()` | `await start_sandbox(**spec)`, `await fill_pool(replicas=2, **spec)` |
| `watches_deliver()` | nothing; to have a watch be late: `watches.hold("pods")`, later `release("pods")` |
| `create_errors`, `patch_errors` | `faults.fail(method, pattern, error)`; then `advance(1)` for the queue's retry |
| `lost_answers`, `after_patch` | `faults.lose_response(method, pattern)` |
| `before_patch = steal` | `faults.before(method, pattern, steal)` |
| `dies_at_the_claim()` | `faults.hang(method, pattern)`, `settle()`, then `await restart_operator()` |
| `guard_answer`, a rejected or a mutated object | `server.admission`, a list of functions (`objects`) |
| `kube.sandbox[...] = ...`, `_stamp` | `apply_sandbox(...)` for a spec, `server.patch(...)` for anything else |
| `operator_restarts()` | `await restart_operator()`; or `stop_operator()`, a change, `start_operator()`, `settle()` |
| `status_writes`, `pods_created`, `owners()` | methods of the same names; for others `requests(method, pattern)` |
| `world.wishes[-1] < 2` | `advance(2)`, and that it happened |
| `World(sandbox, config)` | a fixture `config` in the module, or `parametrize("config", ...)` |

A test of a wake-up holds the watch that would hide the loss, because a watch also delivers the operator's own writes.
"""
