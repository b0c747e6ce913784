"""The pod that a Sandbox gets, or why it gets none."""

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
    """Return the action that creates the pod, or why there may be none."""
    if observed.sandbox.spec.pool_ref is not None and (unseen := idle_detection_problem(observed.sandbox.spec)):
        # The CRD's rules see no field of the template.
        return condition_result("False", Reason.IDLE_DETECTION_UNSUPPORTED, external_message=unseen)
    try:
        manifest = render_pod(observed.sandbox, config)
    except PolicyViolation as conflict:
        return condition_result("False", conflict.reason, external_message=str(conflict))
    if observed.sandbox.spec.pool_ref is not None:
        manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION] = write_template(observed.sandbox.spec)
    return CreatePod(manifest, render_pvc(observed.sandbox))
