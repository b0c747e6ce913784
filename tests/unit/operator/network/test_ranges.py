"""Peers for address ranges with exceptions."""

import pytest

from caisson.network.ranges import everywhere, private


@pytest.mark.parametrize(
    ("excluded", "exceptions"),
    [
        (("10.0.0.0/8",), None),
        (("10.0.0.0/9", "10.128.0.0/9"), None),
        (("0.0.0.0/0",), None),
        (("10.0.0.0/9",), ["10.0.0.0/9"]),
        (("10.1.0.0/16", "10.2.0.0/16"), ["10.1.0.0/16", "10.2.0.0/16"]),
        (("10.0.0.0/16", "10.0.1.0/24"), ["10.0.0.0/16"]),
        (("192.0.2.0/24",), []),
    ],
    ids=str,
)
def test_a_peer_has_the_exceptions_within_its_range(excluded: tuple[str, ...], exceptions: list[str] | None) -> None:
    blocks = [peer["ipBlock"] for peer in private(but=excluded) if peer["ipBlock"]["cidr"] == "10.0.0.0/8"]
    # A range without any address left is no peer: an exception must be smaller than its range.
    assert [block.get("except", []) for block in blocks] == ([] if exceptions is None else [exceptions])


def test_everything_excluded_leaves_no_peer() -> None:
    assert everywhere(but=("0.0.0.0/0", "::/0")) == ()
