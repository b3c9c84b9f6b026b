"""Progress on stderr: a bar on a terminal, elsewhere a line now and then, as logs need it."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

EVERY = 30.0
"""Seconds between two lines."""
_hidden = False
"""Whether no progress is shown."""


def hide_progress() -> None:
    """Show no progress from now on."""
    global _hidden
    _hidden = True


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> Any:
    """Return a bar over `iterable`, or one to be updated: tqdm's if stderr is a terminal, else `Lines`."""
    if _hidden or _is_terminal():
        return _Bar(iterable, **options, disable=_hidden)
    return Lines(iterable, **options)


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


class TrainingProgress(AbstractContextManager["TrainingProgress"]):
    """Progress of a training: tqdm's bar, else a line in `EVERY` seconds, and for the first and last validation."""

    def __init__(self, name: str, steps: int, *, begun: int = 0, disable: bool = False) -> None:
        """`begun`: the steps done before an interruption."""
        self._name, self._steps, self._begun = name, steps, begun
        hidden, disable = not _is_terminal(), disable or _hidden
        self._has_lines = hidden and not disable
        self._bar = _Bar(
            total=steps, initial=begun, desc=name, unit="step", delay=1, mininterval=0.5, disable=hidden or disable
        )
        self._step = begun
        self._loss = self._unsaid = ""
        self._began = self._last = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._bar.close()
        if self._unsaid and kind is None:  # of the last validation, which only now is known to be that
            _print(self._unsaid)

    def on_batch(self) -> None:
        """Count a step."""
        self._bar.update()
        self._step += 1
        self._show()

    def on_validation(self, row: Mapping[str, float]) -> None:
        """Show a validation, of which `row` holds the metrics."""
        is_first, self._loss = not self._loss, f", val loss {row['val/loss']:.4g}"
        self._bar.set_postfix_str(self._loss.removeprefix(", "))
        self._unsaid = f"{self._name}: step {self._step:,}/{self._steps:,}{self._loss}"
        self._show(at_once=is_first)

    def _show(self, at_once: bool = False) -> None:
        """Print a line if it is time for one; its loss is the last validation's."""
        now = time.monotonic()
        if not self._has_lines:
            self._unsaid = ""
        elif at_once or now - self._last >= EVERY:
            left = (now - self._began) * (self._steps - self._step) / max(1, self._step - self._begun)
            expected = f", about {_duration(left)} left" if left and self._step > self._begun else ""
            _print(f"{self._name}: step {self._step:,}/{self._steps:,}{self._loss}{expected}")
            self._last, self._unsaid = now, ""


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # at once: `print` writes the end by itself, and may be interrupted before
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
