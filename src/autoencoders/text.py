"""Numbers and lists as texts, tables and figures have them."""

import math
import re
from collections.abc import Sequence


def format_number(value: float) -> str:
    """Return `value` with three significant digits, ``n/a`` where it is not a number."""
    text = "n/a" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")
    return text.replace("-", "−")


def format_tenths(value: float) -> str:
    """Return `value` with one decimal, such as ``99.9`` or ``−43,404.0``."""
    return f"{value:,.1f}".replace("-", "−")


def format_change(value: float, reference: float) -> str:
    """Return how much `value` is above or below `reference`, such as ``28 % less``, ``0.03 % more``, ``the same``."""
    change = 0.0 if value == reference else 100 * (value / max(reference, 1e-12) - 1)
    if abs(change) < 0.005:
        return "the same"
    digits = 0 if abs(change) >= 9.95 else 1 if abs(change) >= 0.995 else 2
    return f"{abs(change):,.{digits}f} % {'more' if change > 0 else 'less'}"


def format_decimal(value: float) -> str:
    """Return a number in (0, 1) with up to three significant digits and no exponent, such as ``0.0000981``."""
    import numpy as np

    return np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="k")


def format_bytes(count: float) -> str:
    """Return e.g. ``784 B``, ``3.1 kB`` or ``12 MB``; a kB is 1,000 bytes."""
    units = iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while count >= 999.5 and unit != "GB":
        count, unit = count / 1000, next(units)
    return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"


def join_words(words: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, or ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


UNITS = "%|dB|B|kB|MB|GB|nats?|numbers?|steps?|epochs?|times|dimensions?|Gaussians|images|pictures|weights|seconds"
"""What a line must not part from the number before it."""


def typeset(text: str) -> str:
    """Return `text` as a page has it: no-break spaces between numbers and units and around ``=``, true apostrophes."""
    text = re.sub(rf"(?<=\d) (?=(?:{UNITS})(?!\w))", "\u00a0", text)
    text = re.sub(r"(?<=\w) = (?=[\d.−])", "\u00a0=\u00a0", text)
    return re.sub(r"(?<=\w)'", "’", text)
