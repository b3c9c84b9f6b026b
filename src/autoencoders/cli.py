"""The command line: `autoencoders <stage> --<input> PATH … --<output> PATH`, one command for each stage.

A stage's options are the keyword arguments of its function: there is nothing here to keep in step.
"""

import argparse
import atexit
import errno
import gc
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from autoencoders.errors import UserError

# Threads that wait by spinning slow each other down 30-fold on a busy machine; sleeping ones cost an idle one nothing.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

COMMANDS = {
    "download": "fetch and verify the images",
    "prepare": "split them into train, val and test",
    "features": "train the classifier whose features the Fréchet distance uses",
    "train": "train one model of params.yaml",
    "evaluate": "measure a trained model on the test split",
    "plots": "draw the figures of all models",
    "compare": "write and print the comparison table, register the best models",
    "publish": "bring MLflow up to date from the folders on disk",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2, an interruption in 130 or 143."""
    # Torch and MLflow are a million objects that live to the end: looking through them for garbage, again and again
    # while importing and once more while leaving, took a third of a short stage's time.
    gc.set_threshold(200_000, 20, 100)
    atexit.register(gc.freeze)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="autoencoders", description=__doc__.splitlines()[0].split(":")[0] + ".")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if arguments[:1] == [name]:  # a stage's module imports torch: only the one that runs is loaded
            _add_options(command, stage(name))
    chosen = vars(parser.parse_args(arguments))
    sys.exit(_run(stage(chosen.pop("command")), chosen))


def stage(name: str) -> Callable[..., None]:
    """Return the function of the stage `name`."""
    return getattr(importlib.import_module(f"autoencoders.stages.{name}"), name)


def _add_options(command: argparse.ArgumentParser, function: Callable[..., None]) -> None:
    command.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: %(default)s")
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "params":
            continue
        required = parameter.default is inspect.Parameter.empty
        kind = str if parameter.annotation is str else Path
        command.add_argument(
            f"--{name}",
            type=kind,
            required=required,
            default=None if required else parameter.default,
            metavar="NAME" if kind is str else "PATH",
        )


def _run(function: Callable[..., None], options: dict[str, Any]) -> int:
    from autoencoders.params import load_params

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        function(load_params(options.pop("params")), **options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" ({error.filename})" if error.filename else ""
        print(f"error: no space left on the disk{place}. Free some, then run the same command again.", file=sys.stderr)
        return 2
    return 0
