"""Reading and editing YAML as DVC does: with the same library, so that a value means the same in both."""

import io
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 100  # nested sections; the library's C code has no limit, and crashes at some ten thousand

REASON = "> "
"""How the comments of an edit begin."""


class YamlError(ValueError):
    """A text that is not valid YAML, or repeats a key; the message is one line, and names the line of the text."""


def read_yaml(text: str) -> Any:
    """Return what `text` holds; raise `YamlError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = YAML(typ="safe")
    try:
        depth = 0
        for event in reader.parse(text):
            depth += type(event).__name__.endswith(("SequenceStartEvent", "MappingStartEvent"))
            depth -= type(event).__name__.endswith(("SequenceEndEvent", "MappingEndEvent"))
            if depth > MAX_DEPTH:
                raise YamlError(f"sections within sections, more than {MAX_DEPTH} deep")
        return reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(f"{place}{_one_line(error.problem or error.context)}") from None
    # a date of no calendar, `!!int abc`, thousands of digits, `!!bool maybe`: whatever the library's constructors raise
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise YamlError(" ".join(str(error).split()) or type(error).__name__) from None


def _one_line(problem: str) -> str:
    """Return the library's message in one line; of a repeated key without its values, which may be whole sections."""
    return " ".join(problem.split()) if "duplicate key" not in problem else problem.partition(" with value ")[0]


def edit_yaml(text: str, changes: Mapping[str, tuple[Any, str]]) -> str:
    """Return `text`, a mapping, with other values, and above each its reason as a comment; the rest stays as it is.

    `changes` are by keys such as `data.name`, whose sections need not exist. Comments of an earlier edit are removed.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 1000
    editor.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    document = editor.load(re.sub(rf"(?m)^ *# {REASON}.*\n", "", text))
    for key, (value, reason) in changes.items():
        *sections, name = key.split(".")
        place = document
        for section in sections:
            place = place.setdefault(section, CommentedMap())
        if isinstance(value, list):
            value = CommentedSeq(value)
            value.fa.set_flow_style()
        place[name] = value
        if reason:
            lines = "\n".join(REASON + line for line in reason.splitlines())
            place.yaml_set_comment_before_after_key(name, before=lines, indent=2 * len(sections))
    out = io.StringIO()
    editor.dump(document, out)
    return out.getvalue()
