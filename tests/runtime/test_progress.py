"""Progress where nobody sees a bar move: whole lines, not too many of them."""

import io
import subprocess
import sys

import pytest
from processes import training_command
from tqdm import tqdm

from autoencoders.errors import UserError
from autoencoders.runtime.process import exit_code
from autoencoders.runtime.progress import EpochProgress, Lines, progress


def row(epoch: int, seconds: float) -> dict[str, float]:
    return {"epoch": epoch, "val/loss": 101.26 - epoch, "seconds": seconds}


def test_fast_epochs_have_a_line_in_thirty_seconds_and_the_first_and_the_last(clock, capsys):
    with EpochProgress("vae", 8, 2) as shown:
        for epoch in range(1, 9):
            for _ in range(2):
                clock(6)
                shown.on_batch()
            shown.on_epoch(row(epoch, 12))
    assert capsys.readouterr().err.splitlines() == [
        "vae: epoch 1/8, val loss 100.3, 12 s an epoch, about 1 min left",
        "vae: epoch 4/8, val loss 97.26, 12 s an epoch, about 48 s left",
        "vae: epoch 7/8, val loss 94.26, 12 s an epoch, about 12 s left",
        "vae: epoch 8/8, val loss 93.26, 12 s an epoch",
    ]


def test_a_long_epoch_has_lines_of_its_own(clock, capsys):
    with EpochProgress("ae", 3, 2000, begun=1) as shown:
        for epoch in (2, 3):
            for _ in range(2000):
                clock(1 / 32)
                shown.on_batch()
            shown.on_epoch(row(epoch, 62.5))
    assert capsys.readouterr().err.splitlines() == [
        "ae: epoch 2/3, step 960 (48 %)",
        "ae: epoch 2/3, step 1,920 (96 %)",
        "ae: epoch 2/3, val loss 99.26, 1 min an epoch, about 1 min left",
        "ae: epoch 3/3, step 960 (48 %)",
        "ae: epoch 3/3, step 1,920 (96 %)",
        "ae: epoch 3/3, val loss 98.26, 1 min an epoch",
    ]


def test_a_training_that_stops_early_shows_its_last_epoch(clock, capsys):
    with EpochProgress("ae", 500, 1) as shown:
        for epoch in (1, 2, 3):
            shown.on_batch()
            shown.on_epoch(row(epoch, 0.25))
    assert capsys.readouterr().err.splitlines() == [
        "ae: epoch 1/500, val loss 100.3, 0.25 s an epoch, about 2 min left",
        "ae: epoch 3/500, val loss 98.26, 0.25 s an epoch",
    ]
    with pytest.raises(KeyboardInterrupt), EpochProgress("ae", 500, 1) as shown:
        for epoch in (1, 2):
            shown.on_epoch(row(epoch, 7200))
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "ae: epoch 1/500, val loss 100.3, 2.0 h an epoch, about 998.0 h left\n"


def test_of_several_processes_one_shows_progress(capsys):
    with EpochProgress("ae", 2, 1, disable=True) as shown:
        shown.on_batch()
        shown.on_epoch(row(1, 1))
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
    with EpochProgress("ae", 2, 5, begun=1) as shown:
        shown._bar.delay = 0
        shown.on_batch()
        assert (shown._bar.n, shown._bar.total) == (6, 10)
        shown.on_epoch(row(2, 1))
        assert shown._bar.n == 10
    assert "ae: 100%|██████████| 10/10" in capsys.readouterr().err


def test_a_training_s_output_holds_no_carriage_return(prepared, store, tmp_path):
    command = training_command(tmp_path, prepared, epochs=3, batch_size=5)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert b"\r" not in done.stdout + done.stderr
    first, last = done.stderr.decode().splitlines()
    assert first.startswith("ae: epoch 1/3, val loss ")
    assert last.startswith("ae: epoch 3/3, val loss ")
    assert last.endswith(" s an epoch")


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
