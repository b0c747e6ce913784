"""One condition, as in metav1.Condition."""

from typing import Annotated, Literal

from pydantic import Field

from caisson.api.types import ApiModel, Time


class Condition(ApiModel):
    """One aspect of the Sandbox's state, as in metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    """PodRunning, Isolated, DockerReady, or Ready, which sums them up."""

    status: Literal["True", "False", "Unknown"]
    """Unknown means that Caisson could not look, or did not yet."""

    reason: Annotated[str, Field(max_length=1024)]
    """Why, in one word: see the reference of reasons."""

    message: Annotated[str, Field(max_length=32768)]
    """Why, in a sentence, with the next step."""

    last_transition_time: Time
    """When status last changed."""

    observed_generation: Annotated[int, Field(ge=0)]
    """The generation of the spec which this was said of."""
