"""The command line: what it refuses, and how it says so."""

import sys

import pytest

from local import __main__ as cli
from local import namespaces


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["local", *arguments])
    return cli.main()


def test_an_unknown_image_is_refused_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "images", "nonsense") == 1
    message = capsys.readouterr().err
    assert "no such image: nonsense" in message
    assert "toolbox" in message


@pytest.mark.parametrize("arguments", [("kubeconfig",), ("status",), ("exec", "--", "true"), ("operator", "status")])
def test_what_needs_a_cluster_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(namespaces, "find_init", lambda _: None)
    assert run(monkeypatch, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fix: make up" in captured.err


def test_exec_without_a_command_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "exec", "--") == 1
    assert "no command" in capsys.readouterr().err
