"""`docs/troubleshooting.md`: a section for each reason that asks something of somebody, from the enumeration itself.

What dockerd says in such a case comes from the captured failures in `tests/corpus`, so that whoever searches for an
error message finds the section.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from caisson.api.reasons import CRASH_REASONS, Disposition, Reason
from caisson.docker.diagnosis import last_words

_MOST_EXAMPLES = 3
_MOST_LINES = 4
_MOST_COLUMNS = 220

_CHAPTERS: tuple[tuple[str, str, frozenset[Disposition]], ...] = (
    ("It stays until somebody acts", "Caisson does not try again by itself.", frozenset({Disposition.TERMINAL})),
    ("It is tried again", "Caisson, or the cluster, goes on trying.", frozenset({Disposition.RETRYING})),
    (
        "It works, and differs from what one may expect",
        "These are in `status.docker.warnings`; those that do not hold everywhere are Events as well.",
        frozenset({Disposition.WARNING}),
    ),
)


class _Example(NamedTuple):
    how: str
    words: str


def troubleshooting(corpus: Path) -> Iterator[str]:
    """Yield the lines of the page; `corpus` is the folder with the captured failures."""
    examples = _examples(corpus)
    yield "# Troubleshooting"
    yield ""
    yield "What `kubectl get sbx` shows under REASON, and what to do about it. `kubectl describe sbx NAME` has the"
    yield "whole message; `kubectl get sbx NAME -o jsonpath='{.status.crash.stderr}'` what dockerd said at its end; and"
    yield "while the pod is there, `kubectl exec NAME -- /opt/caisson/libexec/log` all that it said."
    for title, introduction, outlooks in _CHAPTERS:
        yield ""
        yield f"## {title}"
        yield ""
        yield introduction
        for reason in Reason:
            if reason.hint and reason.disposition in outlooks:
                yield from _section(reason, examples.get(reason.value, []))


def _section(reason: Reason, examples: list[_Example]) -> Iterator[str]:
    yield ""
    yield f"### {reason}"
    yield ""
    yield reason.meaning
    yield ""
    yield reason.hint
    if reason not in CRASH_REASONS or not examples:
        return
    yield ""
    yield "Seen for example:"
    for example in examples[:_MOST_EXAMPLES]:
        yield ""
        yield f"- {example.how}"
        yield ""
        yield "  ```text"
        for line in example.words.splitlines()[-_MOST_LINES:]:
            yield f"  {line[:_MOST_COLUMNS].rstrip()}"
        yield "  ```"


def _examples(corpus: Path) -> dict[str, list[_Example]]:
    """The captured failures that had something to say, by reason; no two with the same words."""
    found: dict[str, dict[str, _Example]] = {}
    for path in sorted(corpus.glob("*.yaml")):
        captured: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        report = captured["report"]
        words = last_words(report.get("stderr") or report.get("detail") or "").strip()
        if words:
            example = _Example(" ".join(captured["how"].split()), words)
            found.setdefault(captured["expect"], {}).setdefault(words, example)
    return {reason: list(by_words.values()) for reason, by_words in found.items()}
