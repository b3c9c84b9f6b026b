"""A process: exit codes, signals, readers of its output that are gone, and how its threads wait."""

import contextlib
import errno
import io
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from autoencoders.errors import Interrupted, UserError, first_line, printable
from autoencoders.runtime.memory import is_out_of_memory

BROKEN_PIPE = 128 + signal.SIGPIPE
"""Exit code where nobody reads the output any more, as in `… | head`: the one that a shell gives after SIGPIPE."""
INTERRUPTED = 128 + signal.SIGINT
RESUME_HINT = "interrupted: run the same command again to go on"
STOPPED = (INTERRUPTED, 128 + signal.SIGTERM, 128 + signal.SIGHUP, BROKEN_PIPE)
"""Exit codes of a process that was stopped from outside."""

CHILD_PATIENCE = 17.0
"""Seconds that a child has to end its own way: those for which it waits for MLflow, and a little more. Kubernetes gives
30 to all of a pod."""

_stop_code = 0
"""Exit code for the signal that stopped the work, once there was one."""
_lost = False
"""Whether an output was found without a reader."""


def configure_threads() -> None:
    """Have torch's threads spin for a moment, then wait asleep; call this before torch is imported.

    By default they spin for so long that on a busy machine they slow each other down 30-fold. Asleep at once, they cost
    an idle machine a third of its speed (docs/performance.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def exit_code(call: Callable[[], object]) -> int:
    """Do the work `call` and return the exit code: 2 after a user's mistake, with one line on stderr.

    SIGTERM and SIGHUP (unless it is ignored, as under `nohup`) raise `SystemExit` in the work, SIGINT raises
    `KeyboardInterrupt`. Whatever the work raises then, the signal ended it: numpy, in its import, turns a
    `KeyboardInterrupt` into an `ImportError`.
    """
    global _stop_code
    show_any_name()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop)
    hook, sys.unraisablehook = sys.unraisablehook, _see_again
    try:
        _flushed(call)
        return 0
    except KeyboardInterrupt:
        print_to_stderr(RESUME_HINT)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and drop_lost_outputs():
            return BROKEN_PIPE
        if _stop_code == INTERRUPTED:
            print_to_stderr(RESUME_HINT)
        if _stop_code:
            sys.exit(_stop_code)
        if not (message := _message(error)):
            raise
        print_to_stderr(f"error: {message}")
        return 2
    finally:
        _stop_code = 0
        sys.unraisablehook = hook


def _message(error: Exception) -> str:
    """Return the line for a mistake of the user's, or for want of memory, room or rights; else nothing."""
    if isinstance(error, UserError):
        return printable(str(error))
    if is_out_of_memory(error):
        return f"not enough memory ({first_line(error)}). Use smaller sizes, or a machine with more of it."
    file = printable(str(error.filename)) if isinstance(error, OSError) and error.filename else ""
    if isinstance(error, PermissionError) and file:
        return f"{file}: {error.strerror}."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({file})" if file else ""
        return f"no space left on the disk{place}. Free some, then run the same command again."
    return ""


def show_any_name() -> None:
    """Have what a terminal or a log cannot show, such as a name in another script, replaced by question marks."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")


def _flushed(call: Callable[[], object]) -> None:
    """Call, and print what is left in the buffer: the interpreter's own end is noisy where its reader is gone."""
    try:
        call()
    except SystemExit:  # such as argparse's, after its help
        print(end="", flush=True)
        raise
    print(end="", flush=True)


def print_to_stderr(line: str) -> None:
    """Print a line on stderr, if that has a reader."""
    if "autoencoders.runtime.progress" in sys.modules:
        sys.modules["autoencoders.runtime.progress"].close_bars()
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        drop_lost_outputs()


def _stop(number: int, frame: FrameType | None) -> None:
    global _stop_code
    _stop_code = 128 + number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_IGN)  # a second signal, as a pod may get, would interrupt the tidying up
    drop_lost_outputs()
    sys.exit(_stop_code)


def raise_if_stopped() -> None:
    """Raise again what a signal raised in the work, if that was lost.

    Python drops whatever is raised in a finaliser ("Exception ignored in …"), wherever a signal happens to find one.
    """
    if _stop_code:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if _stop_code == INTERRUPTED:
        raise KeyboardInterrupt
    if _stop_code:
        sys.exit(_stop_code)


def _see_again(lost: "sys.UnraisableHookArgs") -> None:
    """Show what Python drops; if that was raised by a signal, raise it again in a moment."""
    sys.__unraisablehook__(lost)
    if _stop_code and isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
        signal.signal(signal.SIGALRM, lambda number, frame: raise_if_stopped())
        signal.setitimer(signal.ITIMER_REAL, 0.1)


def stop_at_once() -> None:
    """Let a signal end this process at once, now that its work is done: while Python exits, it has only tracebacks."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == _stop:
            signal.signal(number, signal.SIG_DFL)


def was_stopped(end: BaseException) -> bool:
    """Return whether the work was ended from outside, rather than failed.

    After a signal that is what ended it, though something else may come out: that another process has gone, say.
    """
    return bool(_stop_code) or not isinstance(end, Exception) or isinstance(end, Interrupted | BrokenPipeError)


def drop_lost_outputs() -> bool:
    """Point stdout and stderr at nothing if they have no reader any more; return whether one was lost, now or before.

    What is printed later then raises nothing: after a training's last words, its run in MLflow has to be ended.
    """
    global _lost
    for descriptor in filter(_is_lost, (1, 2)):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)
        _lost = True
    return _lost


def _is_lost(descriptor: int) -> bool:
    """Return whether a pipe has no reader, or a terminal has hung up."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def run_child(command: Sequence[str]) -> None:
    """Run a process that does the work of this one, and leave with its exit code if that is not 0.

    What stops this process stops the child first, so that the child saves and prints what there is.
    """
    child = subprocess.Popen(command)
    try:
        code = child.wait()
    except BaseException:
        _stop_child(child)
        raise
    if code and drop_lost_outputs():  # it could not say so to the launcher between the two
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    if code:
        sys.exit(code)


def _stop_child(child: "subprocess.Popen[bytes]") -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(child.pid).children(recursive=True)
        child.terminate()
        try:
            child.wait(CHILD_PATIENCE)
        except subprocess.TimeoutExpired:
            for process in (psutil.Process(child.pid), *below):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
