"""Progress where nobody sees a bar move: whole lines, not too many of them."""

import io
import re
import subprocess
import sys

import pytest
from processes import training_command
from tqdm import tqdm

from autoencoders.errors import UserError
from autoencoders.runtime.process import exit_code
from autoencoders.runtime.progress import Lines, TrainingProgress, progress


def row(step: int) -> dict[str, float]:
    return {"step": step, "val/loss": 101.26 - step}


def test_a_fast_training_has_a_line_in_thirty_seconds_and_for_the_first_and_last_validation(clock, capsys):
    with TrainingProgress("vae", 16) as shown:
        shown.on_validation(row(0))
        for step in range(1, 17):
            clock(6)
            shown.on_batch()
            if step % 2 == 0:
                shown.on_validation(row(step))
    assert capsys.readouterr().err.splitlines() == [
        "vae: step 0/16, val loss 101.3",
        "vae: step 5/16, val loss 97.26, about 1 min left",
        "vae: step 10/16, val loss 93.26, about 36 s left",
        "vae: step 15/16, val loss 87.26, about 6 s left",
        "vae: step 16/16, val loss 85.26",
    ]


def test_a_resumed_training_tells_the_time_from_its_own_steps(clock, capsys):
    with TrainingProgress("ae", 6000, begun=2000) as shown:
        for step in range(2001, 6001):
            clock(1 / 32)
            shown.on_batch()
            if step % 2000 == 0:
                shown.on_validation(row(step // 2000))
    assert capsys.readouterr().err.splitlines() == [
        "ae: step 2,960/6,000, about 2 min left",
        "ae: step 3,920/6,000, about 1 min left",
        "ae: step 4,000/6,000, val loss 99.26, about 1 min left",
        "ae: step 4,960/6,000, val loss 99.26, about 32 s left",
        "ae: step 5,920/6,000, val loss 99.26, about 2.5 s left",
        "ae: step 6,000/6,000, val loss 98.26",
    ]


def test_a_training_that_stops_early_shows_its_last_validation(capsys):
    with TrainingProgress("ae", 5000) as shown:
        for step in (0, 1, 2):
            shown.on_validation(row(step))
            shown.on_batch()
    assert capsys.readouterr().err.splitlines() == [
        "ae: step 0/5,000, val loss 101.3",
        "ae: step 2/5,000, val loss 99.26",
    ]
    with pytest.raises(KeyboardInterrupt), TrainingProgress("ae", 500) as shown:
        for step in (0, 1):
            shown.on_validation(row(step))
            shown.on_batch()
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "ae: step 0/500, val loss 101.3\n"


def test_of_several_processes_one_shows_progress(capsys):
    with TrainingProgress("ae", 2, disable=True) as shown:
        shown.on_batch()
        shown.on_validation(row(1))
    assert capsys.readouterr().err == ""


def test_other_work_has_a_line_in_thirty_seconds(clock, capsys):
    with progress(total=200, desc="beta", unit="step", delay=1) as bar:
        bar.set_postfix_str("β = 4")
        for _ in range(8):
            clock(20)
            bar.update(25)
    assert list(progress(range(3), desc="decoding")) == [0, 1, 2]
    for _ in progress(iter("abc"), desc="decoding", unit="image"):
        clock(30)
    assert capsys.readouterr().err.splitlines() == [
        "beta, β = 4: 25 %, about 2 min left",
        "beta, β = 4: 50 %, about 1 min left",
        "beta, β = 4: 75 %, about 40 s left",
        "beta, β = 4: 100 %, about 0 s left",
        "decoding: 1",
        "decoding: 2",
        "decoding: 3",
    ]


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    assert isinstance(progress(range(3), desc="decoding"), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(progress(range(3), desc="decoding", delay=1), tqdm)
    with TrainingProgress("ae", 10, begun=5) as shown:
        shown._bar.delay = 0
        shown.on_batch()
        assert (shown._bar.n, shown._bar.total) == (6, 10)
        shown.on_validation(row(6))
        for _ in range(4):
            shown.on_batch()
    assert re.search(r"ae: 100%\|██████████\| 10/10 .*, val loss 95.26\]", capsys.readouterr().err)


def test_a_training_s_output_holds_no_carriage_return(prepared, store, tmp_path):
    command = training_command(tmp_path, prepared, steps=36, batch_size=5)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert b"\r" not in done.stdout + done.stderr
    first, last = done.stderr.decode().splitlines()
    assert first.startswith("ae: step 0/36, val loss ")
    assert last.startswith("ae: step 36/36, val loss ")


def test_a_line_is_written_at_once(clock, monkeypatch):
    """A signal between a line and its end would put the next line's text behind it."""
    written: list[str] = []

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Output())
    lines = Lines(range(2), desc="reading")
    clock(40)
    lines.update()
    assert written == ["reading: 50 %, about 40 s left\n"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("leave", [True, False])
def test_an_error_stands_in_a_line_of_its_own(monkeypatch, leave):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def work() -> None:
        bar = progress(total=9, desc="beta", delay=0, mininterval=0, leave=leave)
        bar.set_postfix_str("β = 4")
        for _ in range(3):
            bar.update()
        raise UserError("No space left.")

    assert exit_code(work) == 2
    *bars, error = terminal.getvalue().replace("\r", "\n").splitlines()
    assert error == "error: No space left."
    assert any("33%" in bar for bar in bars)


def test_a_bar_says_what_is_worked_on_only_when_it_is_drawn(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(total=9, desc="beta", delay=60) as bar:
        bar.set_postfix_str("β = 4")
        bar.update()
    assert terminal.getvalue() == ""
