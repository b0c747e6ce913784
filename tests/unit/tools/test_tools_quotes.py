"""Numbers and blocks in hand-written files are generated."""

import pytest

from caisson import timing
from tools.generate import ROOT, hand_written
from tools.quotes import QuoteError, refresh, sources, unmarked


@pytest.mark.parametrize(
    ("stale", "current"),
    [
        ("after 9 seconds<!-- LOST_POD_REPLACEMENT_DELAY -->.", "after 30 seconds<!-- LOST_POD_REPLACEMENT_DELAY -->."),
        ("1 minutes<!-- NOT_GVISOR_REPLACEMENT_DELAY -->", "10 minutes<!-- NOT_GVISOR_REPLACEMENT_DELAY -->"),
        ("1 MiB<!-- MAX_OBJECT_BYTES -->", "2 MiB<!-- MAX_OBJECT_BYTES -->"),
        ("1<!-- MAX_OBJECT_VALUES --> values", "20,000<!-- MAX_OBJECT_VALUES --> values"),
        ("0.5 s<!-- leaderElection.leaseDurationSeconds -->", "15 s<!-- leaderElection.leaseDurationSeconds -->"),
        ("30 seconds", "30 seconds"),
    ],
)
def test_a_quoted_number_is_renewed_in_its_unit(stale: str, current: str) -> None:
    assert refresh(stale) == current


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5 s<!-- NO_SUCH_CONSTANT -->", "have no NO_SUCH_CONSTANT"),
        ("5 hours<!-- LOST_POD_REPLACEMENT_DELAY -->", "not a round number of hours"),
        ("5 dozen<!-- LOST_POD_REPLACEMENT_DELAY -->", "dozen is not a known unit"),
    ],
)
def test_a_wrong_quote_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(QuoteError, match=problem):
        refresh(text)


def test_a_block_is_replaced_between_its_comments() -> None:
    stale = "before\n<!-- BEGIN GENERATED: list -->\nold\n<!-- END GENERATED -->\nafter\n"
    assert refresh(stale, {"list": lambda: "new\n"}) == stale.replace("old", "new")
    with pytest.raises(QuoteError, match="no generated block list"):
        refresh(stale)


def test_an_unmarked_number_is_reported() -> None:
    text = "waits 10 minutes, then 7 minutes\n```\n10 minutes\n```\n10 minutes<!-- NOT_GVISOR_REPLACEMENT_DELAY -->"
    (report,) = unmarked(text)
    assert report.startswith("10 minutes (the value of ")
    assert "NOT_GVISOR_REPLACEMENT_DELAY" in report


def test_every_timing_constant_is_a_source() -> None:
    numbers = {name for name, value in vars(timing).items() if name.isupper() and not isinstance(value, tuple)}
    assert numbers <= set(sources())


MEASUREMENTS = {"docs/benchmarks.md"}
"""Pages whose numbers were measured, so that equality with a constant has no meaning."""

COINCIDENCES = {
    "docs/lifecycle.md": ["5 minutes"],  # Kubernetes evicts pods of an unreachable node after this time
}
"""Numbers that equal a constant or a default, but do not quote it."""


PAGES = [name for path in hand_written(ROOT) if (name := path.relative_to(ROOT).as_posix()).endswith(".md")]


@pytest.mark.parametrize("page", sorted(set(PAGES) - MEASUREMENTS))
def test_a_page_marks_each_number_that_it_quotes(page: str) -> None:
    numbers = [report.split(" (the value")[0] for report in unmarked((ROOT / page).read_text(encoding="utf-8"))]
    assert numbers == COINCIDENCES.get(page, []), "append <!-- NAME_OF_THE_CONSTANT --> to the number"
