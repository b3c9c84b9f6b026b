"""The clock, and durations as text."""

import re
import time
from datetime import UTC, datetime, timedelta

SECONDS = {"s": 1, "m": 60, "h": 3600}


def now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def moment(text: str | None) -> datetime | None:
    """Return a server's time; None for null, year 1 and 1970, which mean that the time is not known yet."""
    found = datetime.fromisoformat(text) if text else None
    return found if found and found.year > 1970 else None


def clock(at: datetime) -> str:
    """Return the time of day of `at` where this process runs, with the date if that is another day's."""
    here = at.astimezone()
    return f"{here:%H:%M:%S}" if here.date() == now().astimezone().date() else f"{here:%Y-%m-%d %H:%M:%S}"


def duration(time: timedelta | float) -> str:
    """Return ``40 s``, ``2 min 5 s``, ``12 min`` or ``1 h 5 min``; a number is one of seconds."""
    total = max(0, round(time.total_seconds() if isinstance(time, timedelta) else time))
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def parse_duration(text: str) -> int:
    """Return the seconds of ``90s``, ``10m`` or ``2h``; raise `ValueError`."""
    found = re.fullmatch(r"([1-9]\d*)([smh])", text)
    if not found:
        raise ValueError(f"{text!r} is no duration: write 90s, 10m or 2h")
    return int(found[1]) * SECONDS[found[2]]
