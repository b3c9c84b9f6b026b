"""The one exception that the command line prints as a single line instead of a traceback, and what makes one line."""

import re
import reprlib
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can put right: the message names the thing and the fix."""


class Interrupted(UserError):
    """The work was stopped from outside, and can go on."""


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 2, 4, 4, 120, 80


def shown(value: object) -> str:
    """Return `repr(value)`, shortened: a few lines of YAML can name each other until they are larger than memory."""
    return _SHORT.repr(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to `name`, or an empty string."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def printable(text: str) -> str:
    """Return `text` in one line without what would steer a terminal: control characters stand there as ``\\x1b``.

    So do halves of characters, which bytes that are no UTF-8 become in the names of files, and marks that turn the
    direction of what follows.
    """
    return "".join(_escaped(letter) if unicodedata.category(letter) in _STEERING else letter for letter in text)


_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Of letters, in Persian and Hindi, and of emoji."""


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
