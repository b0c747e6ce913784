"""What the kubelet mounts for registries: authorities for dockerd alone, credentials for every docker and no report."""

import base64
import json
from pathlib import Path

import pytest

from tests.toolbox.fakepod import FakePod

AUTHORITIES = "etc/caisson/registry/authorities"
CREDENTIALS = "/etc/caisson/registry/credentials/config.json"


def write(pod: FakePod, path: str, text: str) -> None:
    file = pod.root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def environment(pod: FakePod, program: str) -> dict[str, str]:
    entries = (pod.fake / f"{program}.environment").read_text().split("\0")[:-1]
    return dict(entry.split("=", 1) for entry in entries)


SAID = 'hunter2 "quoted" \\ <&> wörd'
AUTH = base64.b64encode(f"bob:{SAID}".encode()).decode()
CONFIG = {
    "auths": {
        "a.example": {"username": "bob", "auth": AUTH},
        "b.example": {"identitytoken": "eyJ-identity", "registrytoken": "eyJ-registry"},
        "c.example": {"username": "_json_key", "password": '{\n  "private_key": "begin\\nend"\n}'},
        "d.example": {"username": "eve", "password": "abc", "auth": ""},
    },
    "note": "harmless",
}


class TestAuthorities:
    @pytest.fixture
    def private(self, pod: FakePod) -> FakePod:
        """A pod with two authorities, as a ConfigMap gives them: one text does not end its last line."""
        write(pod, "opt/caisson/etc/ca-certificates.crt", "the toolbox's\n")
        write(pod, f"{AUTHORITIES}/a.crt", "first")
        write(pod, f"{AUTHORITIES}/b.crt", "second\n")
        write(pod, f"{AUTHORITIES}/..data/a.crt", "first")
        return pod

    def trusted(self, pod: FakePod) -> list[str]:
        bundle = environment(pod, "dockerd")["SSL_CERT_FILE"]
        return (pod.root / bundle.lstrip("/")).read_text().splitlines()

    def test_they_come_on_top_of_the_toolboxs(self, private: FakePod) -> None:
        private.start()

        assert self.trusted(private) == ["first", "second", "the toolbox's"]

    def test_or_of_the_images(self, private: FakePod) -> None:
        write(private, "etc/ssl/cert.pem", "the image's\n")

        private.start(profile="GVisor")

        assert self.trusted(private) == ["first", "second", "the image's"]

    @pytest.mark.parametrize(("exists", "base"), [(True, ["the user's"]), (False, [])])
    def test_or_of_those_that_the_container_is_told_of(self, private: FakePod, exists: bool, base: list[str]) -> None:
        if exists:
            write(private, "my.pem", "the user's\n")

        private.start(env={"SSL_CERT_FILE": "/my.pem"})

        assert self.trusted(private) == ["first", "second", *base]

    def test_the_images_own_dockerd_trusts_them_too(self, private: FakePod) -> None:
        write(private, "usr/bin/dockerd", (private.root / "opt/caisson/bin/dockerd").read_text())
        (private.root / "usr/bin/dockerd").chmod(0o755)

        private.start(from_="Image")

        assert self.trusted(private) == ["first", "second", "the toolbox's"]

    def test_nobody_else_is_told(self, private: FakePod) -> None:
        private.start()

        assert "SSL_CERT_FILE" not in environment(private, "docker")


class TestCredentials:
    @pytest.fixture
    def private(self, pod: FakePod) -> FakePod:
        write(pod, CREDENTIALS, json.dumps(CONFIG, indent=2))
        return pod

    def told(self, pod: FakePod, text: bytes) -> str:
        (pod.fake / "last-words").write_bytes(text)
        return str(pod.start(0, "--fake-crash")[-1]["stderr"])

    @pytest.mark.parametrize(("env", "home"), [({}, "root"), ({"HOME": "/home/me"}, "home/me")])
    def test_every_docker_finds_them(self, private: FakePod, env: dict[str, str], home: str) -> None:
        private.start(env=env)

        assert (private.root / home / ".docker/config.json").readlink() == Path(CREDENTIALS)

    def test_a_configuration_of_the_images_stays(self, private: FakePod) -> None:
        write(private, "root/.docker/config.json", "{}")

        private.start(profile="GVisor")

        assert (private.root / "root/.docker/config.json").read_text() == "{}"

    def test_without_any_nothing_is_made(self, pod: FakePod) -> None:
        pod.start()

        assert not (pod.root / "root").exists()

    @pytest.mark.parametrize(
        "secret",
        [
            pytest.param(SAID, id="password inside of auth"),
            pytest.param(AUTH, id="auth"),
            pytest.param("eyJ-identity", id="identitytoken"),
            pytest.param("eyJ-registry", id="registrytoken"),
            pytest.param('  "private_key": "begin\\nend"', id="line of a password"),
            pytest.param('{\\n  \\"private_key\\": \\"begin\\\\nend\\"\\n}', id="password as JSON and Go write it"),
        ],
    )
    def test_no_report_has_them(self, private: FakePod, secret: str) -> None:
        told = self.told(private, f"said {secret} twice: {secret}.\n".encode())

        assert told == "said [redacted] twice: [redacted].\n"

    def test_everything_else_stays(self, private: FakePod) -> None:
        text = "harmless bob a.example _json_key auth password identitytoken abc wörd\n" * 3

        assert self.told(private, text.encode()) == text

    def test_half_a_credential_is_one(self, private: FakePod) -> None:
        """Nothing is left of one that stands where the text is cut, before it is redacted or after."""
        for size in range(60000, 66000, 997):
            rest = "x" * (size - 60000) + "\n" + ("eyJ-identity " * 4615)[:60000]
            assert "dentity" not in self.redacted(private, "eyJ-identity" + rest)

    def redacted(self, pod: FakePod, text: str) -> str:
        (pod.root / "said").write_text(text)
        libraries = "/opt/caisson/libexec/lib"
        script = f"""
            . {libraries}/credentials.sh; . {libraries}/report.sh
            log_end /said "$REDACTED_BYTES" | redact "$REDACTED_BYTES"
        """
        return pod.run("sh", "-uc", script).stdout

    def test_any_bytes_are_text(self, private: FakePod) -> None:
        told = self.told(private, b"\x00\xff" * 20000 + b"\neyJ-identity the end")

        assert told.endswith("\n[redacted] the end\n")
        assert len(told) == 4096

    @pytest.mark.parametrize("config", ["", "{", '"', "[]", '{"auth": "%%%"}', '{"auth": 7, "password": null}', "\\\\"])
    def test_what_is_no_configuration_redacts_nothing(self, pod: FakePod, config: str) -> None:
        write(pod, CREDENTIALS, config)

        assert self.told(pod, b"failed: boom\n") == "failed: boom\n"
