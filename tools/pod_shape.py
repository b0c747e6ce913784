"""The shape of a sandbox's pod: as Helm templates that expand to CEL, for the admission policies, and for documents."""

import textwrap

from caisson.model.pod_shape import (
    DOCKER_CAPABILITIES,
    InPodVerb,
    gate_check_command,
    gate_copy_options,
    in_pod_command,
)
from caisson.model.tripwire import tripwire


def helm_templates() -> str:
    """Return the definitions, each with its value."""
    definitions = {
        "tripwire": str(tripwire()),
        "dockerCapabilities": str(list(DOCKER_CAPABILITIES)),
        "dockerCapabilityCount": str(len(DOCKER_CAPABILITIES)),
        "gateCommand": str(in_pod_command("gate")),
        "gateCheckCommand": str(gate_check_command()),
        "gateCopyOptions": str(gate_copy_options()),
        "inPodVerbs": str([verb.value for verb in InPodVerb]),
        # The context of these two is the CEL expression of an argument vector.
        "runsStop": _begins_with(in_pod_command("stop")),
        "runsSandbox": _begins_with(in_pod_command("sandbox")),
    }
    return "".join(_definition(name, value) for name, value in definitions.items())


def _begins_with(command: list[str]) -> str:
    return " && ".join(f"{{{{ . }}}}[{position}] == '{word}'" for position, word in enumerate(command))


def _definition(name: str, value: str) -> str:
    return f'\n{{{{- define "caisson.{name}" -}}}}\n{value}\n{{{{- end -}}}}\n'


def capability_list() -> str:
    """Return the capabilities as an item of a container's securityContext, as `benchmarks/floor.sh` needs it."""
    item = f"        add: [{', '.join(DOCKER_CAPABILITIES)}]"
    return textwrap.fill(item, 118, subsequent_indent=" " * 14) + "\n"


def tripwire_yaml() -> str:
    """Return the sysctls as a Markdown code block."""
    sysctls = "".join(f"    - {{name: {sysctl['name']}, value: {sysctl['value']}}}\n" for sysctl in tripwire())
    return f"```yaml\nsecurityContext:\n  sysctls:\n{sysctls}```\n"
