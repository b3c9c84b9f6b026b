"""How the command `autoencoders` ends where nobody reads what it prints, or its terminal is closed."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from processes import training_command, wait_for_checkpoint

from autoencoders.errors import UserError
from autoencoders.runtime.process import STOPPED, exit_code

COMMAND = [sys.executable, "-m", "autoencoders"]


def without_reader(command: list[str], folder: Path, *outputs: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of whose `outputs` (stdout, stderr) nobody reads a word."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | dict.fromkeys(outputs, writer)
        return subprocess.run(command, cwd=folder, text=True, check=False, **ends)
    finally:
        os.close(writer)


@pytest.mark.parametrize("arguments", [["check"], ["lineage", "models/vae"]])
def test_a_command_whose_reader_is_gone_ends_without_a_word(arguments, trained, store, tmp_path):
    (tmp_path / "params.yaml").write_text("models: {ae: {kind: autoencoder, latent: 2}}")
    done = without_reader([*COMMAND, *arguments], tmp_path, "stdout")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_whose_reader_is_gone_ends_without_a_word(tmp_path, monkeypatch, unbuffered):
    """Where nothing is buffered, not every release of argparse looks whether anybody reads."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = without_reader([*COMMAND, "--help"], tmp_path, "stdout")
    assert done.returncode in ({0, 141} if unbuffered else {141})
    assert done.stderr == ""


def test_a_mistake_is_reported_though_nobody_reads_stdout(tmp_path):
    done = without_reader([*COMMAND, "check"], tmp_path, "stdout")
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml does not exist. ")


def test_a_broken_pipe_that_is_no_output_s_is_a_mistake_with_a_traceback():
    def call() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        exit_code(call)


@pytest.fixture
def training(prepared, store, tmp_path) -> list[str]:
    """The command of a training that does not end by itself; it says so once a second at least."""
    before = "from autoencoders.runtime import progress; progress.EVERY = 0"
    return training_command(tmp_path, prepared, before, steps=40_000, batch_size=60)


def status(client: MlflowClient) -> str:
    """Of the one run that there is of the model."""
    experiment = client.get_experiment_by_name("autoencoders")
    [run] = client.search_runs([experiment.experiment_id])
    return str(run.info.status)


def wait_for(path: Path, is_alive: Callable[[], bool]) -> None:
    while not path.exists():
        assert is_alive()
        time.sleep(0.02)


def test_a_training_whose_reader_is_gone_is_stopped(training, client, tmp_path):
    done = without_reader(training, tmp_path, "stdout", "stderr")
    assert done.returncode == 141
    assert status(client) == "KILLED"


def test_a_training_whose_terminal_is_closed_is_stopped(training, client, tmp_path):
    child, terminal = pty.fork()
    if not child:
        os.chdir(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests, such as nohup, may ignore it
        os.execv(training[0], training)
    process = psutil.Process(child)
    wait_for_checkpoint(tmp_path, lambda: process.status() != psutil.STATUS_ZOMBIE)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129
    assert status(client) == "KILLED"


def test_a_training_under_nohup_survives_a_closed_terminal(training, client, tmp_path):
    process = subprocess.Popen(["nohup", *training], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    [checkpoint] = wait_for_checkpoint(tmp_path, lambda: process.poll() is None)
    process.send_signal(signal.SIGHUP)
    for _ in range(2):  # it writes checkpoints after the signal, too
        checkpoint.unlink()
        wait_for_checkpoint(tmp_path, lambda: process.poll() is None)
    assert status(client) == "RUNNING"
    process.terminate()
    process.terminate()
    assert process.wait() == 143
    assert status(client) == "KILLED"


def test_what_stops_a_process_is_what_ends_it_whatever_comes_out_of_its_work(params):
    """Of two processes that train together, the second may find that the first has gone before a signal reaches it."""

    def call() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit as end:
            raise RuntimeError("connection closed by peer") from end

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            exit_code(call)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    assert ended.value.code in STOPPED


LOSES_A_SIGNAL = """
import os, sys, time
from autoencoders.runtime.process import exit_code, raise_if_stopped

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))

def work():
    Finalised()
    print("goes on", flush=True)
    raise_if_stopped() if sys.argv[2] == "asks" else time.sleep(1000)
    print("never")

sys.exit(exit_code(work))
"""


@pytest.mark.parametrize("work", ["asks", "sleeps"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_python_drops_in_a_finaliser_is_seen_again(number, work):
    done = subprocess.run(
        [sys.executable, "-c", LOSES_A_SIGNAL, str(int(number)), work], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (128 + number, "goes on\n"), done.stderr
    assert "Exception ignored" in done.stderr


def test_a_child_goes_before_its_parent_and_leaves_nothing_of_its_own(tmp_path):
    """A child that ignores the signal is killed with all that it has started, even where the parent gets two."""
    deaf = "trap 'touch told' TERM; sleep 1000 & echo $! > child; wait; wait; wait"
    program = (
        "import sys; from autoencoders.runtime import process; process.CHILD_PATIENCE = 1\n"
        f"sys.exit(process.exit_code(lambda: process.run_child(['sh', '-c', {deaf!r}])))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    wait_for(tmp_path / "child", lambda: parent.poll() is None)
    while not (tmp_path / "child").read_text():
        time.sleep(0.01)
    parent.terminate()
    wait_for(tmp_path / "told", lambda: parent.poll() is None)
    parent.terminate()
    assert parent.wait() == 143
    grandchild = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE


def test_an_interruption_that_an_import_made_an_error_of_is_one(capsys):
    def call() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("numpy's C extensions") from None

    with pytest.raises(SystemExit) as ended:
        exit_code(call)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: run the same command again to go on\n"


def test_an_interruption_while_modules_are_imported_has_no_traceback(tmp_path):
    """From the first moment on, and where a library makes another error of it, as numpy does."""
    module = [sys.executable, "-X", "importtime", "-m", "autoencoders", "features", "--data", "none", "--out", "out"]
    for after in (
        "argparse",
        "autoencoders.runtime.pod",
        "numpy.version",
        "numpy.exceptions",
        "numpy.linalg",
        "torch.version",
    ):
        process = subprocess.Popen(module, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == after:
                break
        process.send_signal(signal.SIGINT)
        said = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
        assert process.wait() == 130, after
        assert said in ([], ["interrupted: run the same command again to go on"]), after


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_python_exits_has_no_traceback(number, tmp_path):
    program = (
        "import atexit, os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"atexit.register(os.kill, os.getpid(), {number:d}); "
        "from autoencoders import cli; cli.main(['lineage', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-number, "")


def test_what_a_terminal_cannot_show_stops_nothing(tmp_path):
    (tmp_path / "params.yaml").write_text("models: {ä: {kind: pca, latent: 2}}", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*COMMAND, "check"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml: models.?: a model's name is made of letters")
    (tmp_path / "params.yaml").write_text("data: {name: folder, folder: bÿlder}\nmodels: {a: {kind: pca, latent: 2}}")
    (tmp_path / "bÿlder").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "bÿlder" / "犬.png")
    done = subprocess.run(
        [*COMMAND, "download", "--out", "raw"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "b?lder: 1 image, 0 other files ignored\n")


@pytest.mark.parametrize("call", [lambda: torch.empty(10**15), lambda: np.empty(10**15), lambda: bytearray(2**60)])
def test_work_that_is_larger_than_the_memory_ends_in_a_line(call, capsys):
    assert exit_code(call) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: not enough memory (")
    assert told.endswith("). Use smaller sizes, or a machine with more of it.\n")
    assert told.count("\n") == 1


def test_another_runtime_error_is_a_mistake_with_a_traceback():
    def call() -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        exit_code(call)


def test_a_message_that_would_steer_the_terminal_is_shown(capsys):
    def call() -> None:
        raise UserError("a\x1b]0;x\x07\nb \udcff 犬 cannot be read")

    assert exit_code(call) == 2
    assert capsys.readouterr().err == "error: a\\x1b]0;x\\x07\\nb \\udcff 犬 cannot be read\n"


def test_a_full_disk_is_a_user_s_matter(capsys):
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "models/vae/weights.safetensors")

    assert exit_code(full) == 2
    assert "no space left" in capsys.readouterr().err.lower()


def test_a_place_that_may_not_be_read_is_one_line(capsys):
    def forbidden() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "models/vae/model.json")

    assert exit_code(forbidden) == 2
    assert capsys.readouterr().err == "error: models/vae/model.json: Permission denied.\n"
