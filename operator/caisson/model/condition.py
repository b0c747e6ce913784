"""Condition results, before and after they become conditions of a status."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from caisson.api.reasons import EXPLANATIONS, ConditionType, Reason
from caisson.api.status.condition import Condition
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.timing import MAX_EXTERNAL_MESSAGE_BYTES
from caisson.util.sanitize import clean_line

# containerd uses a new sandbox ID for each attempt. A message with it would change, and be written, each time.
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")

ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class ConditionResult:
    """The status, the reason and the message of a condition."""

    status: ConditionStatus
    reason: Reason
    message: str


def condition_result(
    status: ConditionStatus, reason: Reason, detail: str = "", *, external_message: str = ""
) -> ConditionResult:
    """Return a result whose message consists of the reason's meaning, the detail and the reason's hint.

    `external_message` quotes the kubelet, the scheduler or dockerd. It follows the meaning after a colon.
    """
    explanation = EXPLANATIONS[reason]
    meaning = explanation.meaning
    quote = clean_line(
        _CONTAINER_ID.sub("…", external_message).encode(errors="replace"), MAX_EXTERNAL_MESSAGE_BYTES
    ).rstrip(".")
    if quote:
        meaning = f"{meaning.removesuffix('.')}: {quote}."
    parts = [meaning, detail.strip(), explanation.next_step]
    return ConditionResult(status, reason, " ".join(part for part in parts if part))


StatusT = TypeVar("StatusT", SandboxStatus, SandboxPoolStatus)


def build_conditions(
    previous_status: SandboxStatus | SandboxPoolStatus,
    results: dict[ConditionType, ConditionResult],
    generation: int,
    now: datetime,
    earlier: Mapping[ConditionType, int] | None = None,
) -> tuple[Condition, ...]:
    """Return the conditions. The transition time of a condition changes only with its status.

    `earlier` contains the generation of conditions that do not describe the current `generation` of the spec.
    """

    def condition(type_: ConditionType, result: ConditionResult) -> Condition:
        before = previous_status.condition(type_)
        unchanged = before is not None and before.status == result.status
        return Condition(
            type=type_,
            status=result.status,
            reason=result.reason,
            message=result.message,
            last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
            observed_generation=(earlier or {}).get(type_, generation),
        )

    return tuple(condition(type_, result) for type_, result in results.items())


def unread_status(previous_status: StatusT, generation: int, problem: ConditionResult, now: datetime) -> StatusT:
    """Return the status of an object that can't be read, or whose spec can't. Other parts of the status remain."""
    results: dict[ConditionType, ConditionResult] = {ConditionType.READY: problem}
    others: list[Condition] = [c for c in previous_status.conditions if c.type != ConditionType.READY]
    conditions = (*others, *build_conditions(previous_status, results, generation, now))
    return previous_status.model_copy(update={"observed_generation": generation, "conditions": conditions})
