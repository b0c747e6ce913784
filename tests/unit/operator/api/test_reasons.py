"""The table of reasons."""

import pytest

from caisson.api.reasons import (
    CRASH_REASONS,
    EXPLANATIONS,
    WARNING_REASONS,
    ConditionType,
    Disposition,
    Explanation,
    Reason,
    guidance,
)

ROWS = [pytest.param(reason, explanation, id=reason) for reason, explanation in EXPLANATIONS.items()]


def test_every_reason_has_a_row() -> None:
    assert set(EXPLANATIONS) == set(Reason)


@pytest.mark.parametrize(("reason", "explanation"), ROWS)
def test_a_row_is_consistent(reason: Reason, explanation: Explanation) -> None:
    assert explanation.meaning.endswith(".")
    assert not explanation.hint or explanation.hint.endswith(".")
    assert explanation.hint or explanation.disposition is not Disposition.TERMINAL
    if explanation.is_crash:
        assert explanation.conditions == (ConditionType.DOCKER_READY,)
        assert explanation.disposition in {Disposition.TERMINAL, Disposition.RETRYING}
    if explanation.disposition is Disposition.WARNING:
        assert explanation.conditions == ()
    assert not explanation.is_universal or explanation.disposition is Disposition.WARNING
    assert explanation.replaced_after is None or explanation.disposition is Disposition.RETRYING
    assert len(guidance(reason)) <= 2048  # the limit of status.crash.hint


def test_the_sets_of_reasons_follow_from_the_rows() -> None:
    assert Reason.DOCKERD_KILLED in CRASH_REASONS
    assert Reason.EXEC_FAILED not in CRASH_REASONS
    assert frozenset(
        {
            Reason.STORAGE_FELL_BACK_TO_VFS,
            Reason.MTU_MISMATCH,
            Reason.CGROUP_LIMITS_NOT_ENFORCED,
            Reason.GVISOR_TOO_OLD,
        }
    ) == (WARNING_REASONS)


@pytest.mark.parametrize(
    ("reason", "delay"),
    [
        (Reason.EVICTED, "30 seconds"),
        (Reason.POD_LOST, "30 seconds"),
        (Reason.CONTAINER_START_FAILED, "5 minutes"),
        (Reason.NOT_GVISOR, "10 minutes"),
    ],
)
def test_the_next_step_states_when_the_pod_is_replaced(reason: Reason, delay: str) -> None:
    next_step = EXPLANATIONS[reason].next_step
    assert next_step.startswith(f"Caisson creates a new pod {delay} after the old one has ended. ")
    assert next_step.endswith(EXPLANATIONS[reason].hint)


def test_the_next_step_without_a_replacement_is_the_hint() -> None:
    explanation = EXPLANATIONS[Reason.CONTAINER_EXITED]
    assert explanation.next_step == explanation.hint


def test_guidance_links_the_section_of_the_reason() -> None:
    assert guidance(Reason.INVALID_FLAGS).endswith(" More: docs/troubleshooting.md#invalidflags")
