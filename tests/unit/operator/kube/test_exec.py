"""The end of an exec session."""

import json

import pytest

from caisson.kube.exec import ExecError, _exit_code

# exec


def test_the_exit_code_is_read_from_the_end_of_a_session() -> None:
    failure = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert _exit_code(b'{"status":"Success"}') == 0
    assert _exit_code(json.dumps(failure).encode()) == 7


@pytest.mark.parametrize(
    "end",
    [
        b"", b"no json", b"[]", b"{}", b"3", b'{"status":"Failure"}', b'{"status":"Failure","details":null}',
        b'{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}',
        b'{"status":"Failure","details":{"causes":null}}', b'{"status":"Failure","message":"no such container"}',
    ],
)  # fmt: skip
def test_any_other_end_of_a_session_is_an_error(end: bytes) -> None:
    with pytest.raises(ExecError):
        _exit_code(end)
