"""What repeats the definition of the pod's shape matches it."""

import re
from pathlib import Path

import pytest

from caisson.model.pod_shape import DOCKER_CAPABILITIES, InPodVerb, capability_mask

ROOT = Path(__file__).parents[4]
LIBEXEC = ROOT / "toolbox" / "libexec"
WORD = re.compile(rf"\b({'|'.join(DOCKER_CAPABILITIES)})\b")


def test_the_mask_is_the_one_that_gvisor_reports() -> None:
    # Measured: CapEff of a sandbox on a node with net-raw, and on a node without.
    assert capability_mask() == 0xA82C35FB
    assert capability_mask() & ~capability_mask("NET_RAW") == 0xA82C15FB


def test_the_script_looks_for_net_raw_at_its_number() -> None:
    prepare = (LIBEXEC / "lib" / "prepare.sh").read_text(encoding="utf-8")
    assert f"0x$cap_eff >> {DOCKER_CAPABILITIES['NET_RAW']} & 1" in prepare


def test_the_script_has_exactly_the_verbs_that_the_policy_allows() -> None:
    script = (LIBEXEC / "sandbox").read_text(encoding="utf-8")
    cases = script[script.rindex("case $verb in") :]
    assert set(re.findall(r"^(\w+)\)$", cases, flags=re.MULTILINE)) == set(InPodVerb)


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_a_document_lists_all_capabilities_or_few(path: Path) -> None:
    listed = set(WORD.findall(path.read_text(encoding="utf-8")))
    assert listed == set(DOCKER_CAPABILITIES) or len(listed) < 6
