"""Progress on stderr: a bar on a terminal, elsewhere a line now and then, as logs need it."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

EVERY = 30.0
"""Seconds between two lines."""


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> Any:
    """Return a bar over `iterable`, or one to be updated: tqdm's if stderr is a terminal, else `Lines`."""
    return _Bar(iterable, **options) if _is_terminal() else Lines(iterable, **options)


def close_bars() -> None:
    """Close the bars whose work has failed, so that the error message has a line of its own."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()


class _Bar(tqdm):
    def set_postfix_str(self, text: str = "", refresh: bool = False) -> None:
        """Draw nothing at once: a bar drawn before its delay is never closed with a line's end."""
        super().set_postfix_str(text, refresh=refresh)


class Lines(AbstractContextManager["Lines"]):
    """A bar for logs: a line every `EVERY` seconds. Takes tqdm's options, of which it needs two."""

    def __init__(self, iterable: Iterable[Any] | None = None, *, desc: str, total: int | None = None, **unused: Any):
        self._iterable, self._name = iterable, desc
        self._total = len(iterable) if isinstance(iterable, Sized) else total
        self._done = 0
        self._of = ""
        self._began = self._last = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()

    def __exit__(self, *error: object) -> None:
        pass

    def set_postfix_str(self, text: str) -> None:
        """Set the text for what is being worked on."""
        self._of = f", {text}"

    def update(self, count: int = 1) -> None:
        """Count further work that is done, and print it now and then."""
        self._done += count
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        if not self._total:
            _print(f"{self._name}{self._of}: {self._done:,}")
            return
        left = (now - self._began) * (self._total - self._done) / self._done
        _print(f"{self._name}{self._of}: {100 * self._done / self._total:.0f} %, about {_duration(left)} left")


class EpochProgress(AbstractContextManager["EpochProgress"]):
    """Progress of a training: tqdm's bar, or else a line for each epoch.

    If epochs are shorter than `EVERY` seconds, there is a line in so many seconds, and for the first and the last. A
    longer epoch has lines of its own.
    """

    def __init__(self, name: str, epochs: int, steps: int, *, begun: int = 0, disable: bool = False) -> None:
        """`begun`: the epochs done before an interruption; `steps`: those of one epoch."""
        self._name, self._epochs, self._steps = name, epochs, steps
        hidden = not _is_terminal()
        self._has_lines = hidden and not disable
        self._bar = _Bar(
            total=epochs * steps, initial=begun * steps, desc=name, unit="step", delay=1, mininterval=0.5,
            disable=hidden or disable,
        )  # fmt: skip
        self._epoch, self._step = begun, 0
        self._seconds: list[float] = []
        self._last_line = ""
        self._began = self._last = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._bar.close()
        if self._last_line and kind is None:  # of the last epoch, which only now is known to be that
            _print(self._last_line)

    def on_batch(self) -> None:
        """Count a step."""
        self._bar.update()
        self._step += 1
        if self._has_lines and time.monotonic() - max(self._began, self._last) >= EVERY:
            percent = f"{100 * self._step / self._steps:.0f} %"
            self._print(f"{self._name}: epoch {self._epoch + 1}/{self._epochs}, step {self._step:,} ({percent})")

    def on_epoch(self, row: Mapping[str, float]) -> None:
        """Count an epoch, of which `row` holds the metrics."""
        self._epoch, self._step, self._began = int(row["epoch"]), 0, time.monotonic()
        text = f"epoch {self._epoch}/{self._epochs}, val loss {row['val/loss']:.4g}"
        self._bar.set_postfix_str(text)
        self._bar.n = self._epoch * self._steps
        if not self._has_lines:
            return
        self._seconds.append(row["seconds"])
        mean = sum(self._seconds) / len(self._seconds)
        self._last_line = f"{self._name}: {text}, {_duration(mean)} an epoch"
        if len(self._seconds) == 1 or time.monotonic() - self._last >= EVERY:
            left = (self._epochs - self._epoch) * mean
            self._print(f"{self._last_line}, about {_duration(left)} left" if left else self._last_line)
            self._last_line = ""

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        _print(line)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # at once: `print` writes the end by itself, and may be interrupted before
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
