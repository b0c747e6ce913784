"""Read the administrator's configuration from its file."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from caisson.config import Config
from caisson.shell.errors import ConfigError


def load_config(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises ConfigError, which lists every error at once."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        problems = [
            f"  {'.'.join(str(part) for part in e['loc']) or '(the whole)'}: {e['msg']}"
            for e in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join([f"{path}:", *problems])) from error
