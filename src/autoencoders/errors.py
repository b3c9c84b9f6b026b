"""The exception that the command line prints as one line instead of a traceback, and functions for such lines."""

import re
import reprlib
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """An error that the user can fix: the message says what is wrong, and how to fix it."""


class Interrupted(UserError):
    """The work was stopped from outside, and can be continued."""


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 2, 4, 4, 120, 80


def shown(value: object) -> str:
    """Return `repr(value)`, shortened: a few lines of YAML with aliases can stand for more than fits in memory."""
    return _SHORT.repr(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to `name`, or an empty string."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def counted(count: int, word: str) -> str:
    """Return a number of things, such as ``1 image`` or ``2,000 images``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Return `text` in one line, with escapes such as ``\\x1b`` for what would control a terminal.

    These are control characters, marks that change the direction of text, and surrogates, which stand for bytes of a
    file's name that are not UTF-8.
    """
    return "".join(_escaped(letter) if unicodedata.category(letter) in _CONTROLS else letter for letter in text)


_CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""They join letters in Persian and Hindi, and emoji."""


def _escaped(letter: str) -> str:
    return letter if letter in _JOINERS else letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def without_password(text: str) -> str:
    """Return `text` with the user and password of every URL in it left out."""
    return re.sub(r"://[^/\s]*@", "://", text)


def first_line(error: BaseException) -> str:
    """Return what went wrong in one line that holds no password; of a database, in the database's own words."""
    lines = str(_of_database(error) or error).strip().splitlines()
    return printable(without_password(lines[0][:300] if lines else type(error).__name__))


def _of_database(error: BaseException) -> BaseException | None:
    """Return the database's own error, which SQLAlchemy keeps as `orig` and MLflow has as a cause."""
    if isinstance(error, UserError):
        return None
    if isinstance(own := getattr(error, "orig", None), BaseException):
        return own
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return _of_database(before) if before else None
