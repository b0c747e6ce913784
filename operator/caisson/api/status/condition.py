"""A condition, as in metav1.Condition."""

from typing import Annotated, Literal

from pydantic import Field

from caisson.api.types import ApiModel, Time


class Condition(ApiModel):
    """One aspect of the Sandbox's state, as in metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    """Type of the condition: PodRunning, Isolated, DockerReady, or Ready, which summarizes the others."""

    status: Literal["True", "False", "Unknown"]
    """Unknown means that Caisson could not check, or has not checked yet."""

    reason: Annotated[str, Field(max_length=1024)]
    """Reason for the status, in one word. See the reference of reasons."""

    message: Annotated[str, Field(max_length=32768)]
    """Explanation and next step."""

    last_transition_time: Time
    """Time of the last change of status."""

    observed_generation: Annotated[int, Field(ge=0)]
    """Generation of the spec that the condition describes."""
