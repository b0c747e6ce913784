"""One aspect of the state, before it becomes a condition."""

import re
from dataclasses import dataclass
from typing import Literal

from caisson.api.reasons import Reason
from caisson.core.text import clean_line

MAX_EXTERNAL_MESSAGE_BYTES = 512
# Containerd names a sandbox anew at each try; a message that changes each time would be written each time.
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")

ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class ConditionResult:
    """Whether an aspect holds, why, and that in a sentence."""

    status: ConditionStatus
    reason: Reason
    message: str


def condition_result(
    status: ConditionStatus, reason: Reason, detail: str = "", *, external_message: str = ""
) -> ConditionResult:
    """Return a result whose message is the reason's meaning, then what is particular here, then what to do.

    `external_message` contains the words of the kubelet, the scheduler or dockerd. They follow the meaning after a
    colon.
    """
    meaning = reason.meaning
    words = clean_line(
        _CONTAINER_ID.sub("…", external_message).encode(errors="replace"), MAX_EXTERNAL_MESSAGE_BYTES
    ).rstrip(".")
    if words:
        meaning = f"{meaning.removesuffix('.')}: {words}."
    parts = [meaning, detail.strip(), reason.hint]
    return ConditionResult(status, reason, " ".join(part for part in parts if part))
