"""Values given on the command line, `-S models.vae.beta=4` as under DVC, in place of those of params.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoencoders.errors import UserError
from autoencoders.params import Params, parse_params, read_params
from autoencoders.params.file import YamlError, read_yaml


def overridden(path: Path, settings: Sequence[str]) -> Params:
    """Read `path` with `key=value` settings applied, the values YAML; raise `UserError` if one is not valid."""
    raw = read_params(path)
    params = parse_params(raw, str(path))
    if not settings:
        return params
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise UserError(f"-S {setting}: write key=value, such as -S models.vae.beta=4.")
        _set(raw, key.split("."), _value(setting, value))
    return parse_params(raw, f"{path} with -S {' -S '.join(settings)}")


def _set(raw: dict[str, Any], keys: list[str], value: Any) -> None:
    section = raw
    for at, key in enumerate(keys[:-1]):
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise UserError(f"-S {'.'.join(keys)}: {'.'.join(keys[: at + 1])} is a value, it has nothing below it.")
    section[keys[-1]] = value


def _value(setting: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except YamlError as error:
        raise UserError(f"-S {setting}: the value is not valid YAML: {error}") from None
