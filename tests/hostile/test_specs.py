"""Hostile text in every string of a spec: it is used unchanged or rejected with its field, and never executed."""

import json
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, KubectlError, condition
from tests.hostile.conftest import assert_safe, cases

HOSTILE = {
    "substitution": "$(touch /tmp/pwned)`touch /tmp/pwned`${IFS}",
    "separators": "; touch /tmp/pwned & || && | > /tmp/pwned <",
    "quotes": "'\"'; touch /tmp/pwned; echo \"'",
    "newlines": "first\n\ntouch /tmp/pwned\n#\r\nlast\n",
    "options": "--rootless -- -c -e",
    "escapes": "\x1b[2J\x1b]0;owned\x07\x7f\x01",
    "unicode": "\u202eelor\u2066\u00e9\U0001f4a3\ufeff",
    "json": '"},{"event":"ready"}\n{"event":"ready","attempt":0}',
    "percent": "%s%n%p\\x41\\0",
    "long": "A" * 4096,
}
SMALL = {"limits": {"memory": "256Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}


@pytest.fixture(scope="module")
def words(arena: Kubectl) -> Kubectl:
    """One Sandbox without Docker for each hostile text, in its environment and its command."""
    for name, word in HOSTILE.items():
        # In a pod's spec, $$ escapes a dollar.
        escaped = word.replace("$(", "$$(")
        arena.sandbox(
            name,
            docker={"enabled": False},
            resources=SMALL,
            env=[{"name": "WORD", "value": escaped}],
            command=["sh", "-c", 'printf %s "$1" >/tmp/word; exec sleep infinity', "sh", escaped],
        )
    return arena


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_passed_unchanged_and_not_executed(words: Kubectl, name: str) -> None:
    assert_safe(words.until_ready(name))
    word = HOSTILE[name]
    assert words.shell(name, 'printf %s "$WORD"').encode() == _as_printed(word)
    assert words.shell(name, "cat /tmp/word").encode() == _as_printed(word)
    assert words.shell(name, "ls /tmp").split() == ["word"]


def _as_printed(word: str) -> bytes:
    # Python reads the output of kubectl with universal newlines.
    return word.replace("\r\n", "\n").encode()


@pytest.fixture(scope="module")
def flags(arena: Kubectl) -> Kubectl:
    """A Sandbox whose dockerd gets every hostile text as a label."""
    labels = [f"--label=word{n}={word}" for n, word in enumerate(HOSTILE.values()) if len(word) < 900]
    arena.sandbox("flags", docker={"flags": labels, "restart": {"policy": "Never"}})
    return arena


def test_flags_are_passed_to_dockerd_unchanged(flags: Kubectl) -> None:
    status = flags.until("flags", lambda s: "crash" in s or condition(s, "Ready").get("status") == "True", "a decision")
    assert_safe(status)
    assert "pwned" not in flags.shell("flags", "ls /tmp /run /")
    assert condition(status, "Ready")["status"] == "True", status.get("crash")
    spec = json.loads(flags.exec("flags", "docker", "info", "--format", "{{json .Labels}}"))
    assert {label.split("=", 1)[1] for label in spec} == {word for word in HOSTILE.values() if len(word) < 900}


COLLISIONS = {
    "PATH": "/evil:/nowhere",
    "LD_PRELOAD": "/evil.so",
    "LD_LIBRARY_PATH": "/evil",
    "LD_AUDIT": "/evil.so",
    "IFS": "/abcdefghijklmnopqrstuvwxyz",
    "ENV": "/proc/self/environ",
    "BASH_ENV": "/proc/self/environ",
    "PS4": "$(touch /tmp/pwned)",
    "SHELLOPTS": "xtrace",
    "DOCKER_HOST": "tcp://203.0.113.1:2375",
    "DOCKER_CONTEXT": "nowhere",
    "DOCKER_CONFIG": "/dev/null",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_RAMDISK": "1",
    "HOME": "/dev/null",
    "TMPDIR": "/nowhere",
    "STATE": "/evil",
    "TOOLBOX": "/evil",
    "GODEBUG": "netdns=cgo+2",
    "XTABLES_LIBDIR": "/evil",
    "HTTP_PROXY": "http://203.0.113.1:1",
    "LC_ALL": "xx_XX",
}


def test_colliding_environment_variables_have_no_effect(arena: Kubectl) -> None:
    arena.sandbox("collisions", env=[{"name": name, "value": value} for name, value in COLLISIONS.items()])
    status = assert_safe(arena.until_ready("collisions"))
    assert status["docker"]["restarts"] == 0
    environment = arena.exec("collisions", "/opt/caisson/bin/busybox", "env")
    assert "DOCKER_HOST=tcp://203.0.113.1:2375\n" in environment
    assert not arena.exec("collisions", "/opt/caisson/bin/busybox", "find", "/tmp", "-name", "pwned")


PLACE: dict[str, Any] = {"name": "v", "mountPath": "/v"}
MOUNT = PLACE | {"emptyDir": {}}

IN_MAKE_TEST = {
    *("image-newline", "flag-owned", "capabilities", "volume-host-path", "mount-1"),
    *("mirror", "runc", "another-secret", "config-map"),
}
"""The cases of the two tables below that `make test` runs, because the checks after each case are slow."""
WEB = {"name": "web", "containerPort": 80}

INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "image-newline": ({"image": "debian\nreboot"}, "spec.image"),
    "image-space": ({"image": "debian --privileged"}, "spec.image"),
    "image-endless": ({"image": "a" * 1025}, "spec.image"),
    "env-name": ({"env": [{"name": "A=B", "value": "x"}]}, "spec.env[0].name"),
    "env-name-newline": ({"env": [{"name": "A\nB", "value": "x"}]}, "spec.env[0].name"),
    "env-reserved": ({"env": [{"name": "CAISSON_POD_UID", "value": "x"}]}, "CAISSON_ are reserved"),
    "env-nul": ({"env": [{"name": "A", "value": "a\x00b"}]}, "spec.env[0].value"),
    "env-endless": ({"env": [{"name": "A", "value": "x" * 32769}]}, "spec.env[0].value"),
    "env-many": ({"env": [{"name": f"A{n}", "value": ""} for n in range(129)]}, "spec.env"),
    "command-nul": ({"command": ["a\x00b"]}, "spec.command[0]"),
    "flag-nul": ({"docker": {"flags": ["--label=a\x00"]}}, "spec.docker.flags[0]"),
    "flag-owned": ({"docker": {"flags": ["--exec-root=/evil"]}}, "the GVisor profile sets"),
    "flag-owned-short": ({"docker": {"flags": ["-Dp/evil"]}}, "the GVisor profile sets"),
    "version": ({"docker": {"version": "26; reboot"}}, "spec.docker.version"),
    "runtime-class": ({"runtimeClassName": "../runc"}, "spec.runtimeClassName"),
    "secret": ({"imagePullSecrets": [{"name": "../token"}]}, "spec.imagePullSecrets[0].name"),
    "size": ({"docker": {"storage": {"memory": {"sizeLimit": "9" * 40}}}}, "sizeLimit"),
    "memory": ({"resources": {"limits": {"memory": "-1"}}}, "resources.limits.memory"),
    "time": ({"docker": {"startTimeoutSeconds": 10**9}}, "spec.docker.startTimeoutSeconds"),
    "lifetime": ({"lifetime": {"ttlSeconds": -1}}, "spec.lifetime.ttlSeconds"),
    "idle-at-once": ({"lifetime": {"idleSeconds": 1}}, "spec.lifetime.idleSeconds"),
    "idle-unseen": ({"lifetime": {"idleSeconds": 60}, "docker": {"enabled": False}}, "measures lifetime.idleSeconds"),
    "capabilities": ({"securityContext": {"privileged": True}}, "securityContext"),
    "volumes": ({"volumes": [{"hostPath": {"path": "/"}}]}, "volumes"),
    "volume-host-path": ({"volumes": [MOUNT | {"hostPath": {"path": "/"}}]}, "hostPath"),
    "volume-of-two-kinds": ({"volumes": [MOUNT | {"configMap": {"name": "sandbox-a"}}]}, "has exactly one source"),
    "volume-of-no-kind": ({"volumes": [{"name": "v", "mountPath": "/v"}]}, "has exactly one source"),
    **{
        f"mount-{number}": ({"volumes": [MOUNT | {"mountPath": path}]}, "spec.volumes[0]")
        for number, path in enumerate(
            (
                *("/opt/caisson", "/opt/caisson/bin", "/opt", "//opt/caisson", "/opt/./caisson", "/usr/../opt/caisson"),
                *("/run/caisson/start-0", "/var/run/caisson", "/run/docker.sock", "/var/lib/docker", "/proc/1", "/dev"),
                *("relative", "/", "/a:b", "/a\nb", "/etc/caisson/registry", "/" + "a" * 600),
            )
        )
    },
    "mounts-at-one-path": ({"volumes": [MOUNT, MOUNT | {"name": "w"}]}, "mounted at the same path"),
    "claim-without-a-size": ({"docker": {"storage": {"type": "PersistentVolumeClaim"}}}, "with a size"),
    "mirror": ({"docker": {"registry": {"mirrors": ["$(reboot)"]}}}, "spec.docker.registry.mirrors[0]"),
    "mirror-with-a-password": ({"docker": {"registry": {"mirrors": ["https://a:b@c"]}}}, "registry.mirrors[0]"),
    "insecure": ({"docker": {"registry": {"insecure": ["10.0.0.0/999"]}}}, "spec.docker.registry.insecure[0]"),
    "insecure-option": ({"docker": {"registry": {"insecure": ["x --debug"]}}}, "spec.docker.registry.insecure[0]"),
    "credentials": ({"docker": {"registry": {"credentials": {"name": "../token"}}}}, "registry.credentials.name"),
    "port": ({"ports": [{"name": "web", "containerPort": 0}]}, "spec.ports[0].containerPort"),
    "port-twice": ({"ports": [WEB, WEB | {"name": "other"}]}, "the same number"),
    "grace": ({"terminationGracePeriodSeconds": 0}, "spec.terminationGracePeriodSeconds"),
}


@pytest.mark.parametrize("name", cases(INVALID, IN_MAKE_TEST))
def test_invalid_field_is_rejected_by_name(arena: Kubectl, name: str) -> None:
    spec, message = INVALID[name]
    with pytest.raises(KubectlError) as error:
        arena.sandbox(f"refused-{name}", **spec)
    assert message in str(error.value)
    assert not arena.exists("sbx", f"refused-{name}")


NOT_ALLOWED: dict[str, tuple[dict[str, Any], str]] = {
    "runc": ({"runtimeClassName": "runc"}, "RuntimeClassNotAllowed"),
    "another-secret": ({"imagePullSecrets": [{"name": "token"}]}, "SecretNotAllowed"),
    "registry-secret": ({"docker": {"registry": {"credentials": {"name": "token"}}}}, "SecretNotAllowed"),
    "authorities": ({"docker": {"registry": {"authorities": {"name": "theirs"}}}}, "ConfigMapNotAllowed"),
    "config-map": (
        {"volumes": [{"name": "v", "mountPath": "/v", "configMap": {"name": "theirs"}}]},
        "ConfigMapNotAllowed",
    ),
    "claim": (
        {"volumes": [PLACE | {"persistentVolumeClaim": {"claimName": "theirs"}}]},
        "VolumeClaimNotAllowed",
    ),
    "no-such-docker": ({"docker": {"version": "1.2.3"}}, "DockerVersionUnknown"),
    "no-such-image": ({"image": "caisson.dev/`reboot`;$(reboot)"}, "ImagePullFailed"),
}


@pytest.mark.parametrize("name", cases(NOT_ALLOWED, IN_MAKE_TEST))
def test_disallowed_reference_is_reported_and_runs_nothing(arena: Kubectl, name: str) -> None:
    spec, expected = NOT_ALLOWED[name]
    arena.sandbox(name, **{"docker": {"enabled": False}, "resources": SMALL} | spec)
    assert_safe(arena.until_reason(name, expected))
    if arena.exists("pod", name):
        states = arena.get("pod", name)["status"].get("containerStatuses", [])
        assert not any("running" in state["state"] for state in states)


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a" * 52, True), ("a" * 53, False), ("a.b", False), ("0", True), ("a" * 253, False)],
    ids=["52", "53", "dots", "digit", "253"],
)
def test_length_and_characters_of_names(arena: Kubectl, name: str, valid: bool) -> None:
    if not valid:
        with pytest.raises(KubectlError, match=r"metadata\.name"):
            arena.sandbox(name, docker={"enabled": False}, resources=SMALL)
        return
    arena.sandbox(name, docker={"enabled": False}, resources=SMALL)
    assert assert_safe(arena.until_ready(name))["podName"] == name
    assert arena.exec(name, "hostname").strip() == name
