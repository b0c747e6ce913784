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

| to | use |
|---|---|
| let the operator do all that it can at this moment | `settle()` |
| let time pass, for a back-off or the queue's retry | `advance(seconds)` |
| take a Sandbox or a pool to Ready | `start_sandbox(**spec)`, `fill_pool(replicas=2, **spec)` |
| change an object as another client | `apply_sandbox(...)` for a spec, `server.patch(...)` for anything else |
| fail a request, lose its response, or act right before it | `faults.fail`, `faults.lose_response`, `faults.before` |
| kill the operator at a request | `faults.hang(method, pattern)`, `settle()`, `restart_operator()` |
| delay a watch | `watches.hold("pods")`, later `release("pods")` |
| reject or change objects | `server.admission`, a list of functions (`objects`) |
| let sessions fail | `executor.answer(pod, ...)`; without an answer, they succeed |
| configure the operator | a fixture `config` in the module, or `parametrize("config", ...)` |

A test of a wake-up holds the watch that would hide the loss, because a watch also delivers the operator's own writes.
"""
