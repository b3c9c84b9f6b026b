"""Reading YAML as DVC reads it: with the same library, so that a value means the same in both."""

from typing import Any

MAX_DEPTH = 100  # nested sections; the library's C code has no limit, and crashes at some ten thousand


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
