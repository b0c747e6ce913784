"""The command line: invalid arguments and error messages."""

import sys

import pytest

from local import __main__ as cli
from local import namespaces


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["local", *arguments])
    return cli.main()


def test_unknown_image_is_an_error_that_lists_the_images(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "images", "nonsense") == 1
    message = capsys.readouterr().err
    assert "unknown image: nonsense" in message
    assert "toolbox" in message


@pytest.mark.parametrize("arguments", [("kubeconfig",), ("status",), ("exec", "--", "true"), ("operator", "status")])
def test_command_without_a_cluster_explains_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(namespaces, "find_init", lambda _: None)
    assert run(monkeypatch, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fix: make up" in captured.err


def test_exec_without_a_command_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "exec", "--") == 1
    assert "the command is missing" in capsys.readouterr().err
