"""Load the administrator's configuration from a file."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from caisson.config.model import Config
from caisson.model.errors import ConfigError
from caisson.util.cidr import surroundings


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """Return the configuration in a YAML file. Raises ConfigError, which lists every error at once.

    The environment of the operator's pod contains an address of the cluster's Service range, which is reserved.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return _with_services(Config.model_validate(content), environment)
    except ValidationError as error:
        problems = [
            f"  {'.'.join(str(part) for part in e['loc']) or '(the whole)'}: {e['msg']}"
            for e in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join([f"{path}:", *problems])) from error


def _with_services(config: Config, environment: Mapping[str, str]) -> Config:
    services = surroundings(environment.get("KUBERNETES_SERVICE_HOST", ""))
    if services is None:
        return config
    reserved = (*config.sandboxes.reserved_ranges, str(services))
    return config.model_copy(update={"sandboxes": config.sandboxes.model_copy(update={"reserved_ranges": reserved})})
