"""The one exception that the command line prints as a single line instead of a traceback, and what makes one line."""

import re
import reprlib
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


def without_password(text: str) -> str:
    """Return `text` with the user and password of every URL in it left out."""
    return re.sub(r"://[^/\s]*@", "://", text)


def first_line(error: BaseException) -> str:
    """Return what went wrong in one line that holds no password."""
    lines = str(error).strip().splitlines()
    return without_password(lines[0][:300] if lines else type(error).__name__)
