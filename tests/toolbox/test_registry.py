"""Registry settings: CAs are trusted by dockerd only; credentials are available to docker and redacted in reports."""

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


PHRASE = 'hunter2 "quoted" \\ <&> wörd'
AUTH = base64.b64encode(f"bob:{PHRASE}".encode()).decode()
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
        """A pod with two CAs, mounted like a ConfigMap. One file does not end with a newline."""
        write(pod, "opt/caisson/etc/ca-certificates.crt", "the toolbox's\n")
        write(pod, f"{AUTHORITIES}/a.crt", "first")
        write(pod, f"{AUTHORITIES}/b.crt", "second\n")
        write(pod, f"{AUTHORITIES}/..data/a.crt", "first")
        return pod

    def trusted_cas(self, pod: FakePod) -> list[str]:
        bundle = environment(pod, "dockerd")["SSL_CERT_FILE"]
        return (pod.root / bundle.lstrip("/")).read_text().splitlines()

    def test_cas_are_added_to_those_of_the_toolbox(self, private: FakePod) -> None:
        private.start()

        assert self.trusted_cas(private) == ["first", "second", "the toolbox's"]

    def test_cas_are_added_to_those_of_the_image(self, private: FakePod) -> None:
        write(private, "etc/ssl/cert.pem", "the image's\n")

        private.start(profile="GVisor")

        assert self.trusted_cas(private) == ["first", "second", "the image's"]

    @pytest.mark.parametrize(("exists", "base"), [(True, ["the user's"]), (False, [])])
    def test_cas_are_added_to_those_of_the_environment(self, private: FakePod, exists: bool, base: list[str]) -> None:
        if exists:
            write(private, "my.pem", "the user's\n")

        private.start(env={"SSL_CERT_FILE": "/my.pem"})

        assert self.trusted_cas(private) == ["first", "second", *base]

    def test_dockerd_of_the_image_trusts_the_cas(self, private: FakePod) -> None:
        write(private, "usr/bin/dockerd", (private.root / "opt/caisson/bin/dockerd").read_text())
        (private.root / "usr/bin/dockerd").chmod(0o755)

        private.start(from_="Image")

        assert self.trusted_cas(private) == ["first", "second", "the toolbox's"]


class TestCredentials:
    @pytest.fixture
    def private(self, pod: FakePod) -> FakePod:
        write(pod, CREDENTIALS, json.dumps(CONFIG, indent=2))
        return pod

    def crash_report(self, pod: FakePod, text: bytes) -> str:
        (pod.fake / "last-words").write_bytes(text)
        return str(pod.start(0, "--fake-crash")[-1]["stderr"])

    @pytest.mark.parametrize(("env", "home"), [({}, "root"), ({"HOME": "/home/me"}, "home/me")])
    def test_credentials_are_linked_into_the_home(self, private: FakePod, env: dict[str, str], home: str) -> None:
        private.start(env=env)

        assert (private.root / home / ".docker/config.json").readlink() == Path(CREDENTIALS)

    def test_existing_docker_config_is_preserved(self, private: FakePod) -> None:
        write(private, "root/.docker/config.json", "{}")

        private.start(profile="GVisor")

        assert (private.root / "root/.docker/config.json").read_text() == "{}"

    def test_no_link_is_created_without_credentials(self, pod: FakePod) -> None:
        pod.start()

        assert not (pod.root / "root").exists()

    @pytest.mark.parametrize(
        "secret",
        [
            pytest.param(PHRASE, id="password inside auth"),
            pytest.param(AUTH, id="auth"),
            pytest.param("eyJ-identity", id="identitytoken"),
            pytest.param("eyJ-registry", id="registrytoken"),
            pytest.param('  "private_key": "begin\\nend"', id="line of a password"),
            pytest.param('{\\n  \\"private_key\\": \\"begin\\\\nend\\"\\n}', id="password escaped as in JSON and Go"),
        ],
    )
    def test_credentials_are_redacted_in_reports(self, private: FakePod, secret: str) -> None:
        report = self.crash_report(private, f"said {secret} twice: {secret}.\n".encode())

        assert report == "said [redacted] twice: [redacted].\n"

    def test_other_text_is_not_redacted(self, private: FakePod) -> None:
        text = "harmless bob a.example _json_key auth password identitytoken abc wörd\n" * 3

        assert self.crash_report(private, text.encode()) == text

    def test_truncated_credential_is_redacted(self, private: FakePod) -> None:
        """Covers credentials at the position where the text is truncated, before and after redaction."""
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

    def test_output_is_omitted_if_the_credentials_are_too_large(self, pod: FakePod) -> None:
        auths = {f"{number}.example": {"auth": AUTH} for number in range(1000)}
        write(pod, CREDENTIALS, json.dumps({"auths": auths}))

        assert self.crash_report(pod, f"said {PHRASE}\n".encode()).startswith("omitted: ")

    def test_binary_output_is_redacted(self, private: FakePod) -> None:
        report = self.crash_report(private, b"\x00\xff" * 20000 + b"\neyJ-identity the end")

        assert report.endswith("\n[redacted] the end\n")
        assert len(report) == 4096

    @pytest.mark.parametrize("config", ["", "{", '"', "[]", '{"auth": "%%%"}', '{"auth": 7, "password": null}', "\\\\"])
    def test_invalid_docker_config_redacts_nothing(self, pod: FakePod, config: str) -> None:
        write(pod, CREDENTIALS, config)

        assert self.crash_report(pod, b"failed: boom\n") == "failed: boom\n"
