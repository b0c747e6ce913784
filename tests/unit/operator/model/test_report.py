"""Output of a sandbox is untrusted: it is bounded and sanitized, or rejected with a ReportError."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caisson.model.report import (
    FailureCause,
    Report,
    ReportError,
    StartFailed,
    StartSucceeded,
    parse_report,
)
from caisson.timing import STREAM_TAIL_BYTES
from caisson.util.sanitize import clean, clean_line


def b64(text: str | bytes) -> str:
    """Return text as the in-pod script encodes it."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def line(event: str, **fields: Any) -> bytes:
    """Return one line of the in-pod script."""
    return json.dumps({"event": event, **fields}).encode() + b"\n"


INFO = json.dumps({"serverVersion": "28.5.1", "driver": "overlay2"})
READY: dict[str, Any] = {
    "attempt": 0, "pid": 7, "retryCount": 1, "readyAfterMilliseconds": 500, "startedAt": 1700000000,
    "info64": b64(INFO),
}  # fmt: skip


def test_successful_start_is_parsed() -> None:
    report = parse_report(line("isolated", kernel64=b64("gVisor")) + line("starting") + line("ready", **READY))
    assert report == Report("gVisor", StartSucceeded(0, 7, 1, 500, 1700000000, "28.5.1", "overlay2"))


def test_failed_start_is_parsed() -> None:
    report = parse_report(
        line("failed", cause="Exited", attempt=2, pid=9, exitCode=1, capEff="2000", stderr64=b64("no\n")),
    )
    assert report.outcome == StartFailed(FailureCause.EXITED, 2, 9, 1, capabilities=0x2000, stderr="no\n")


def test_idle_time_is_parsed() -> None:
    assert parse_report(line("idle", seconds=61)) == Report(idle_seconds=61)


@pytest.mark.parametrize(("capabilities", "expected"), [("2000", 0x2000), ("a82c35fb", 0xA82C35FB), (None, None)])
def test_capabilities_are_parsed_as_bits(capabilities: str | None, expected: int | None) -> None:
    outcome = parse_report(line("failed", cause="Exited", capEff=capabilities)).outcome
    assert isinstance(outcome, StartFailed)
    assert outcome.capabilities == expected


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"\n\n",
        b"sh: not found\n",
        b"[]\n",
        line("progress"),
        line("ready"),
        line("ready", **READY | {"pid": 0}),
        line("ready", **READY | {"pid": "7"}),
        line("ready", **READY | {"attempt": 2**31}),
        line("ready", **READY | {"startedAt": 2**34}),
        line("ready", **READY | {"info64": b64("{")}),
        line("ready", **READY | {"info64": "no base64!"}),
        line("ready", **READY | {"info64": b64('{"serverVersion":""}')}),
        line("failed", cause="Weather"),
        line("idle"),
        line("idle", seconds=-1),
        line("idle", seconds=2**31),
        line("idle", seconds=1.5),
        line("failed", cause="Exited", exitCode=256),
        line("failed", cause="Exited", stderr64=b64("x" * (4 * STREAM_TAIL_BYTES + 1))),
        b'{"event":"isolated","kernel64":"\xff"}\n',
        b"[" * 100_000,
        b'{"event":' + b"9" * 5000 + b"}",
        b'{"event":"failed","cause":' + b"[" * 5000,
    ],
    ids=range(24),
)
def test_invalid_output_is_rejected(output: bytes) -> None:
    with pytest.raises(ReportError) as caught:
        parse_report(output)
    assert len(str(caught.value)) < 2048
    assert str(caught.value).isprintable()


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary().map(b64)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
_FIELDS = st.sampled_from(
    [*READY, "cause", "exitCode", "capEff", "stdout64", "stderr64", "detail64", "kernel64", "seconds", "event"],
)
_EVENTS = st.builds(
    lambda event, fields: json.dumps({**fields, "event": event}).encode(),
    st.sampled_from(["isolated", "ready", "failed", "idle", "other"]) | st.text(),
    st.dictionaries(_FIELDS, _VALUES | st.sampled_from([*READY.values(), *FailureCause])),
)
_OUTPUTS = st.lists(_EVENTS | st.binary(), max_size=4).map(b"\n".join)


@given(_OUTPUTS)
@example(line("ready", **READY | {"info64": b64('{"serverVersion": "\\ud800"}')}))
@example(line("ready", **READY | {"info64": b64(json.dumps({"serverVersion": "\x1b[31m" + "é" * 500}))}))
def test_any_output_is_a_bounded_report_or_an_error(output: bytes) -> None:
    try:
        report = parse_report(output)
    except ReportError:
        return
    assert len((report.kernel or "").encode()) <= 128
    assert 0 <= (report.idle_seconds or 0) < 2**31
    if isinstance(report.outcome, StartSucceeded):
        assert len(report.outcome.version.encode()) <= 128
        assert len(report.outcome.storage_driver.encode()) <= 64
        assert 0 <= report.outcome.attempt < 2**31
    if isinstance(report.outcome, StartFailed):
        for stream in (report.outcome.stdout, report.outcome.stderr, report.outcome.detail):
            assert len(stream.encode()) <= STREAM_TAIL_BYTES


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain\ttext\n", "plain\ttext\n"),
        (b"a\r\nb", "a\nb"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07seen", "seen"),
        (b"\x1b]8;;http://x\x1b\\link", "link"),
        (b"nul\x00bel\x07del\x7f", "nulbeldel"),
        ("a\u0085b\u202eright-to-left\u200b".encode(), "abright-to-left"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("grüße".encode(), "grüße"),
        (b"GET https://me:p@ss:word@host/v2 failed", "GET https://***@host/v2 failed"),
    ],
    ids=["plain", "crlf", "colour", "title", "link", "controls", "c1-and-bidi", "not-utf8", "utf8", "credentials"],
)
def test_text_is_sanitized(raw: bytes, expected: str) -> None:
    assert clean(raw, 100) == expected


def test_end_of_text_is_kept_without_partial_characters() -> None:
    assert clean("aé".encode() * 10, 4) == "éaé"[1:]


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda t: t.encode(errors="replace")), st.integers(1, 100))
@example(b"\x1b\x1b[0m[31m", 50)
def test_sanitized_text_is_bounded_and_stable(raw: bytes, limit: int) -> None:
    text = clean(raw, limit)
    assert len(text.encode()) <= limit
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in text)
    assert clean(text.encode(), limit) == text


@given(st.binary(max_size=300), st.integers(1, 100))
def test_sanitized_line_is_a_single_line(raw: bytes, limit: int) -> None:
    text = clean_line(raw, limit)
    assert len(text.encode()) <= limit
    assert len(text.splitlines()) <= 1


def test_the_script_cuts_streams_at_the_size_of_the_status() -> None:
    script = Path(__file__).parents[4] / "toolbox" / "libexec" / "lib" / "report.sh"
    assert f"\nREPORT_TAIL_BYTES={STREAM_TAIL_BYTES}\n" in script.read_text(encoding="utf-8")
