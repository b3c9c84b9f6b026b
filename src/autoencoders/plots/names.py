"""The user's texts in figures, such as names of classes and files: in one line, and in letters that a font has.

Figures are set in a font that comes with matplotlib, which has no Chinese, Thai or Devanagari. Letters that it lacks
come from the system's fonts. Where these lack them too, something else is drawn, and `warn_undrawn` says so.
"""

import sys
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from functools import cache

from matplotlib import font_manager, rcParams
from matplotlib.font_manager import FontProperties, fontManager

FONT = "DejaVu Sans"  # ships with matplotlib: the same glyphs on every machine
BOX = "□"
"""Stands for a letter that cannot be drawn."""
MAX_NAMED = 5
# matplotlib's own fonts for formulas, in codes of their own, and the one that has a box for everything
_UNSUITABLE = ("cm", "STIX", "Last Resort")

families = [FONT]
"""The fonts of all figures: each letter is drawn from the first that has it."""
_undrawn: dict[str, str] = {}
"""What is drawn instead of each text that has letters of no font."""
_warned: set[str] = set()


def drawn(text: str, length: int = 24, instead: str = "") -> str:
    """Return `text` as a figure can have it: in one line, with an ellipsis for what is beyond `length` characters.

    Where no font has its letters, it is `instead`, such as the number of a class, or has a box for each of them.
    """
    line = "".join(_visible(letter) for letter in text)
    if missing := _missing(line):
        _look_for(missing)
    if missing := missing and _missing(line):
        line = instead or "".join(BOX if letter in missing else letter for letter in line)
        _undrawn[text] = line
    return shortened(line, length)


def shortened(name: str, length: int = 24) -> str:
    """Return `name`, its end cut off and replaced by an ellipsis where it is longer than `length` characters."""
    return name if len(name) <= length else name[: length - 1] + "…"


def warn_undrawn() -> None:
    """Print, once for each text, that no font has its letters, and what is drawn instead."""
    new = [text for text in _undrawn if text not in _warned]
    if not new:
        return
    _warned.update(new)
    named = ", ".join(f"{''.join(map(_visible, text))} (drawn as {_undrawn[text]})" for text in new[:MAX_NAMED])
    more = f" and {len(new) - MAX_NAMED} more names" if len(new) > MAX_NAMED else ""
    print(
        f"figures: no font here has the letters of {named}{more}. Install one that has them, such as Noto's, and draw "
        "the figures again.",
        file=sys.stderr,
        flush=True,
    )


def _visible(letter: str) -> str:
    """Return a letter, a space for a line's end, nothing for a mark that changes others, and U+FFFD for other codes."""
    kind = unicodedata.category(letter)
    if letter.isspace():
        return " "
    if kind == "Cf" or "\ufe00" <= letter <= "\ufe0f":
        return ""
    return "\ufffd" if kind in ("Cc", "Cs") else letter


def _missing(line: str) -> set[str]:
    return {letter for letter in line if not any(_has(family, letter) for family in families)}


def _has(family: str, letter: str) -> bool:
    """Return whether a family has a letter in both of the weights that figures are set in."""
    return all(ord(letter) in _letters(family, weight) for weight in ("normal", "bold"))


@cache
def _letters(family: str, weight: str) -> Collection[int]:
    path = font_manager.findfont(FontProperties(family=[family], weight=weight), fallback_to_default=False)
    return font_manager.get_font(path).get_charmap()


def _look_for(missing: set[str]) -> None:
    """Add the families of the system that have most of the missing letters, until there is none that has any."""
    _add_new_fonts()
    while missing:
        counts = {family: sum(_has(family, letter) for letter in missing) for family in _candidates()}
        best = max(sorted(counts), key=lambda family: counts[family], default="")
        if not best or not counts[best]:
            return
        families.append(best)
        rcParams["font.family"] = list(families)
        missing = {letter for letter in missing if not _has(best, letter)}


def _candidates() -> set[str]:
    weights = ("400", "normal", "regular", "book")
    usable = {font.name for font in fontManager.ttflist if font.style == "normal" and str(font.weight) in weights}
    return {name for name in usable - set(families) if not name.startswith(_UNSUITABLE) and _is_readable(name)}


def _is_readable(family: str) -> bool:
    try:
        return bool(_letters(family, "normal")) and bool(_letters(family, "bold"))
    except Exception:  # FreeType's, for a damaged file
        return False


@cache
def _add_new_fonts() -> None:
    """Make known those of the system's fonts that were installed after matplotlib made its list."""
    known = {str(entry.fname) for entry in fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with suppress(Exception):  # FreeType's, for a damaged file
            fontManager.addfont(path)
