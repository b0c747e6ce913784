"""`docs/troubleshooting.md`: a section for each reason that a user or an administrator can act on.

The output of dockerd comes from the failures captured in `tests/corpus`, so that a search for an error message finds
the section.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from caisson.api.reasons import EXPLANATIONS, Disposition, Reason
from caisson.docker.diagnosis import last_words

_MOST_EXAMPLES = 3
_MOST_LINES = 4
_MOST_COLUMNS = 220

_CHAPTERS: tuple[tuple[str, str, Disposition], ...] = (
    (
        "Problems that remain until you act",
        "Caisson does not retry.",
        Disposition.TERMINAL,
    ),
    ("Problems that are retried", "Caisson or Kubernetes retries. If the problem persists, act.", Disposition.RETRYING),
    (
        "Limitations",
        "Docker works, with a limitation. `status.docker.warnings` lists these; a limitation that does not apply to"
        " every sandbox is also reported in an Event.",
        Disposition.WARNING,
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
    yield "This page explains the reasons that `kubectl get sbx` shows in the column REASON."
    yield ""
    yield "- `kubectl describe sbx NAME` shows the complete message."
    yield "- `kubectl get sbx NAME -o jsonpath='{.status.crash.stderr}'` shows the end of dockerd's stderr."
    yield "- While the pod exists, `kubectl exec NAME -- /opt/caisson/libexec/log` prints all output of dockerd."
    for title, introduction, disposition in _CHAPTERS:
        yield ""
        yield f"## {title}"
        yield ""
        yield introduction
        for reason in Reason:
            if EXPLANATIONS[reason].hint and EXPLANATIONS[reason].disposition is disposition:
                yield from _section(reason, examples.get(reason.value, []))


def _section(reason: Reason, examples: list[_Example]) -> Iterator[str]:
    explanation = EXPLANATIONS[reason]
    yield ""
    yield f"### {reason}"
    yield ""
    yield explanation.meaning
    yield ""
    yield explanation.next_step
    if not explanation.is_crash or not examples:
        return
    yield ""
    yield "Examples:"
    for example in examples[:_MOST_EXAMPLES]:
        yield ""
        yield f"- {example.how}"
        yield ""
        yield "  ```text"
        for line in example.words.splitlines()[-_MOST_LINES:]:
            yield f"  {line[:_MOST_COLUMNS].rstrip()}"
        yield "  ```"


def _examples(corpus: Path) -> dict[str, list[_Example]]:
    """Return the captured failures with output, by reason; no two have the same output."""
    by_reason: dict[str, dict[str, _Example]] = {}
    for path in sorted(corpus.glob("*.yaml")):
        captured: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        report = captured["report"]
        words = last_words(report.get("stderr") or report.get("detail") or "").strip()
        if words:
            example = _Example(" ".join(captured["how"].split()), words)
            by_reason.setdefault(captured["expect"], {}).setdefault(words, example)
    return {reason: list(by_words.values()) for reason, by_words in by_reason.items()}
