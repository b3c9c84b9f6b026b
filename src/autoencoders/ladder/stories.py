"""A rung's story: the template `story.md` in the rung's folder, filled with the numbers that were measured.

A story is Markdown: a title, the claim in italics, the result in numbers as a quotation where there is one,
paragraphs, and the figure with its alternative text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from autoencoders.ladder.record import damaged
from autoencoders.text import format_bytes, format_change, format_decimal, format_number


@dataclass(frozen=True)
class Story:
    """A rung's story with its numbers, and its parts."""

    markdown: str
    title: str
    claim: str  # the statement that the rung tests, and whether the numbers contradict it
    result: str  # what was measured, in a sentence or two; empty where nothing was
    paragraphs: Sequence[str]
    alt: str  # the figure's alternative text; empty where there is no figure


def render_story(record: Mapping[str, Any], folder: Path) -> Story:
    """Return the story of the rung that `read_rung` read from `folder`.

    Raise `UserError` where `rung.json` lacks what the story needs.
    """
    template = _environment().get_template(f"{record['name'].replace('-', '_')}/story.md")
    try:
        text = template.render(record["facts"], metrics=record["metrics"], params=record["params"])
    except (UndefinedError, TypeError, ValueError, ArithmeticError) as error:
        raise damaged(folder / "rung.json", str(error)) from error
    blocks = [" ".join(block.split()) for block in text.split("\n\n") if block.strip()]
    title, claim, *paragraphs = blocks
    figures = [block for block in paragraphs if block.startswith("![")]
    results = [block for block in paragraphs if block.startswith("> ")]
    texts = [block for block in paragraphs if block not in [*figures, *results]]
    if size := record["facts"].get("reduced_to"):
        texts.append(f"The images are reduced to {size[0]}×{size[1]} pixels on this rung.")
        results = [f"{block.removesuffix('.')} (on images reduced to {size[0]}×{size[1]})." for block in results]
    return Story(
        "\n\n".join((title, claim, *results, *texts, *figures)) + "\n",
        title.removeprefix("# "),
        claim.strip("*"),
        results[0].removeprefix("> ") if results else "",
        texts,
        figures[0].removeprefix("![").rpartition("](")[0] if figures else "",
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("autoencoders.ladder", ""), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "bytes": format_bytes,
        "change": format_change,
        "decimal": format_decimal,
        "number": format_number,
        "count": "{:,}".format,
        "fixed": lambda value, digits: f"{value:.{digits}f}",
    }
    environment.globals |= {"separator": _separator, "unless": _unless}
    return environment


def _separator(loop: Any) -> str:
    """Return the separator before an item of ``a, b and c``."""
    return "" if loop.first else " and " if loop.last else ", "


def _unless(confirmed: bool) -> str:
    """Return what ends a claim: nothing where the numbers have `confirmed` it."""
    return "" if confirmed else " Here this is not confirmed."
