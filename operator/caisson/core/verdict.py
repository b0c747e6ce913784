"""One aspect of the state, before it becomes a condition."""

import re
from dataclasses import dataclass
from typing import Literal

from caisson.api.reasons import Reason
from caisson.core.text import clean_line

_SAID_BYTES = 512
# Containerd names a sandbox anew at each try; a message that changes each time would be written each time.
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Verdict:
    """Whether an aspect holds, why, and that in a sentence."""

    status: Truth
    reason: Reason
    message: str


def verdict(status: Truth, reason: Reason, detail: str = "", *, said: str = "") -> Verdict:
    """Make a verdict whose message is the reason's meaning, then what is particular here, then what to do.

    `said` are foreign words (the kubelet's, the scheduler's, dockerd's): they follow the meaning after a colon.
    """
    meaning = reason.meaning
    words = clean_line(_CONTAINER_ID.sub("…", said).encode(errors="replace"), _SAID_BYTES).rstrip(".")
    if words:
        meaning = f"{meaning.removesuffix('.')}: {words}."
    parts = [meaning, detail.strip(), reason.hint]
    return Verdict(status, reason, " ".join(part for part in parts if part))
