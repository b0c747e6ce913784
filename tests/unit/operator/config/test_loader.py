"""Loading the configuration file."""

from pathlib import Path

import pytest

from caisson.config.loader import load_config
from caisson.model.errors import ConfigError


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text("workers: 0\ntoolboxes: [{version: x}]\nunknown: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    for named in ("workers", "toolboxes.0.version", "toolboxes.0.image", "unknown", str(path)):
        assert named in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"a: [", b"\xff"], ids=range(5))
def test_unreadable_files_are_rejected_with_their_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "operator.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"operator\.yaml"):
        load_config(path, {})
