"""Messages for problems of a YAML file: each names the key's path, and what is allowed there."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from autoencoders.errors import shown, suggestion
from autoencoders.params.models import KINDS

STEPS_HINT = (
    "training is counted in steps now: write `steps` in its place, epochs × images / batch_size (1505 for 7 epochs of "
    "55,000 images in batches of 256)"
)


def format_errors(error: ValidationError, root: type[BaseModel], raw: Mapping[str, Any]) -> str:
    """Return all problems of `raw`, the content of a file to be validated as `root`, in one line."""
    # a default that follows another key is skipped where that key is wrong: the key is named itself
    problems = [problem for problem in error.errors() if problem["type"] != "default_factory_not_called"]
    places: dict[str, list[str]] = {}
    for problem in problems:
        place, message = _describe(problem, root, raw)
        places.setdefault(message, []).append(place)
    lines = ((", ".join(dict.fromkeys(same)), message) for message, same in places.items())
    return "; ".join(": ".join(filter(None, line)) for line in lines)


def _describe(problem: Any, root: type[BaseModel], raw: Mapping[str, Any]) -> tuple[str, str]:
    """Return the `key.path` of a problem, and what is wrong there, with the nearest known key for a misspelt one."""
    loc = [part for at, part in enumerate(problem["loc"]) if isinstance(part, int) or _is_key(at, problem["loc"], raw)]
    path = " ".join(".".join(str(part) for part in loc).split()) or "file"
    if problem["type"] == "extra_forbidden" and loc[-2:] == ["train", "epochs"]:
        return path, STEPS_HINT
    if problem["type"] == "extra_forbidden":
        known = _known_keys(root, problem["loc"])
        return path, f"unknown key.{suggestion(str(loc[-1]), known)} Known here: {', '.join(sorted(known))}"
    if problem["type"] == "missing":
        return path, "missing"
    if problem["type"] in _NO_SECTION:
        return path, f"should be a section, `key: value` in lines of their own, found {shown(problem['input'])}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").replace(" after validation", "")
    if problem["type"] == "value_error":
        return "" if path == "file" else path, message
    if "tag" in problem["type"]:
        kind = problem["input"].get("kind") if isinstance(problem["input"], Mapping) else None
        hint = suggestion(str(kind), KINDS) if kind else ""
        return f"{path}.kind", f"must be one of {', '.join(KINDS)}, found {shown(kind)}.{hint}"
    return path, f"{message}, found {shown(problem['input'])}"


def _is_key(at: int, loc: tuple[Any, ...], raw: Any) -> bool:
    """Return whether a part of a pydantic location is a key of the file, and not the name of a union's member."""
    part, node = loc[at], raw
    for step in loc[:at]:
        if (isinstance(node, Mapping) and step in node) or (isinstance(node, list) and isinstance(step, int)):
            node = node[step]
    in_file = isinstance(node, Mapping) and part in node
    is_last = at == len(loc) - 1 and not any(c in part for c in "[(") and part not in KINDS and part not in _TYPES
    return in_file or is_last


_TYPES = {"int", "float", "constrained-int", "constrained-float", "list"}
_NO_SECTION = {"model_type", "model_attributes_type", "dict_type"}


def _known_keys(root: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    section: Any = root
    for part in loc[:-1]:
        if part in KINDS:
            section = KINDS[part].params
        elif part in section.model_fields:
            section = _section_in(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first section in a type such as `Section | None` or `list[Section]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_in(inner))), None)
