"""Whether a pod can be created for a Sandbox, and its manifest."""

from caisson.api.reasons import Reason
from caisson.children.pvc import render_pvc
from caisson.config.model import Config
from caisson.lifecycle.idle import idle_detection_problem
from caisson.model.actions import CreatePod
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.errors import PolicyViolation
from caisson.model.observed import ObservedState
from caisson.pod.manifest import render_pod
from caisson.pod.template_annotation import TEMPLATE_ANNOTATION, write_template


def plan_creation(observed: ObservedState, config: Config) -> CreatePod | ConditionResult:
    """Return the action that creates the pod, or the condition that prevents it."""
    if observed.sandbox.spec.pool_ref is not None and (problem := idle_detection_problem(observed.sandbox.spec)):
        # CEL rules of a Sandbox can't validate fields of the pool's template.
        return condition_result("False", Reason.IDLE_DETECTION_UNSUPPORTED, external_message=problem)
    try:
        manifest = render_pod(observed.sandbox, config)
    except PolicyViolation as violation:
        return condition_result("False", violation.reason, external_message=str(violation))
    if observed.sandbox.spec.pool_ref is not None:
        manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION] = write_template(observed.sandbox.spec)
    return CreatePod(manifest, render_pvc(observed.sandbox))
