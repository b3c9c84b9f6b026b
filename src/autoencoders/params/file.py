"""Reading YAML as DVC reads it: YAML 1.2's numbers, and no key twice."""

import re
from typing import Any

import yaml


class DuplicateKeyError(ValueError):
    """A key that stands twice in one section; the message says which and where."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                raise DuplicateKeyError(f"line {line}: the key {key.value!r} stands in line {lines[key.value]} already")
            lines[str(key.value)] = line
        return super().construct_mapping(node, deep)


# PyYAML takes 1e-3, without a dot, for text
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Return what `text` holds; raises `yaml.YAMLError`, or `DuplicateKeyError` where a key stands twice."""
    return yaml.load(text, _Loader)
