"""The command line: `autoencoders <command> …`, one command for each stage and for each use of a trained model.

A command's options are the keyword-only arguments of its function, its positional arguments are the others. A command
that has `params` reads params.yaml.
"""

import argparse
import atexit
import gc
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from autoencoders.runtime.arguments import ArgumentParser
from autoencoders.runtime.pod import complete_environment
from autoencoders.runtime.process import configure_threads, exit_code, stop_at_once
from autoencoders.stages import find_stage

ORDER = (
    "check", "download", "prepare", "features", "train", "evaluate", "ladder", "plots", "compare", "report", "publish",
    "init", "encode", "decode", "reconstruct", "sample", "interpolate", "neighbours", "anomalies", "lineage",
)  # fmt: skip
"""Order of the commands in the overview; commands that are not listed here come last."""
STAGE_OPTIONS = {
    "params": "file of parameters",
    "raw": "folder that `download` wrote",
    "data": "folder of prepared data, which `prepare` wrote",
    "features": "folder that `features` wrote",
    "model": "name of the model, an entry of `models` in params.yaml",
    "models": "folder of the trained models, one subfolder for each",
    "evaluation": "folder of results of `evaluate`, one subfolder for each model",
    "figures": "folder of the figures that `plots` drew",
    "comparison": "folder that `compare` wrote",
    "ladder": "folder of the rungs, one subfolder for each",
    "report": "page that `report` wrote",
    "rung": "one of one-image, one-hot, auto-decoder, linear, generation, beta",
    "cache": "folder that keeps verified files between runs",
    "checkpoints": "folder of checkpoints, from which an interrupted training resumes, or a URL such as s3://bucket/prefix",
    "card": "folder for the numbers of the data card, in place of an earlier one",
    "curves": "folder for the values of the curves, in place of earlier ones",
    "out": "folder for the results, in place of earlier ones",
    "check out": "file for a line that says so, in place of an earlier one; without it, none is written",
    "download out": "folder for the files, in place of earlier ones; intact files in it are kept",
    "evaluate model": "folder of the trained model",
    "plots card": "folder of the data card's numbers, which `prepare` wrote",
    "report out": "HTML file for the report, in place of an earlier one",
}
USE_OPTIONS = {
    "folder": "folder of your own images; subfolders are class labels, or train, val and test",
    "force": "write even where params.yaml has changes that are not committed",
    "images": "image files, or folders of them",
    "a": "image file of the first end",
    "b": "image file of the second end",
    "codes": "file of codes, which `encode` wrote",
    "model": "folder of a trained model, or an MLflow URI such as models:/mnist-autoencoders@best-vae",
    "data": "folder of prepared data, which `prepare` wrote",
    "n": "number of images, 1 to 100,000",
    "seed": "seed of the draws; equal seeds give equal images",
    "steps": "number of images, both ends included, 2 to 200",
    "count": "number of neighbours of each image",
    "what": "folder of a trained model, id of an MLflow run, or id of a Kubeflow run",
    "device": "where to compute: auto (a GPU where there is one), cpu, cuda or cuda:N",
    "json": "print JSON in place of the table",
    "out": "folder for the results, new or empty",
    "encode out": "file for the codes, such as codes.npz, in place of an earlier one",
    "anomalies out": "folder for a table and a picture, new or empty; without it, none is written",
    "neighbours out": "folder for a table and a picture, new or empty; without it, none is written",
}
"""Help for an option of any command, or for `command option`."""
ERRORS = re.compile(r"\s*Raises?\s+`UserError`.*?\.(?=\s|$)", re.DOTALL)
"""The part of a docstring that the help does not show."""
METAVARS: dict[type, str] = {str: "NAME", int: "N", Path: "PATH"}
"""The types that a command's arguments may have."""
GROUPS = {"stages of the pipeline": "stages", "your own images, and trained models": "commands"}
"""Packages whose modules are commands."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command. Exit with 2 after a user's mistake, with one line on stderr; with 129, 130 or 143 if interrupted.

    If the reader of the output is gone, as in `autoencoders … | head`, exit with 141 and print nothing.
    """
    configure_threads()
    # Torch and MLflow create a million objects that live until the process ends. Collecting garbage among them, again
    # and again during the import and once more at exit, took a third of a short stage's time.
    gc.set_threshold(200_000, 20, 100)
    atexit.register(gc.freeze)
    try:
        sys.exit(exit_code(lambda: _run(list(sys.argv[1:] if arguments is None else arguments))))
    finally:
        stop_at_once()


def _run(arguments: list[str]) -> None:
    complete_environment()
    recorded = None
    if address := os.environ.get("DVC_STAGE"):
        from autoencoders.dvc_stage import Recorded

        recorded = Recorded(address)  # before the modules whose content it records are imported
    general = ArgumentParser(add_help=False)
    general.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="show no progress")
    parser = ArgumentParser(
        prog="autoencoders",
        usage="%(prog)s [-h] [-q] [--version] command …",
        epilog=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[general],
    )
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, prog="autoencoders", help=argparse.SUPPRESS)
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name in [*list_commands("stages"), *list_commands("commands")]:
        command = commands.add_parser(name, parents=[general])
        if name == named:  # a command's module imports torch: only the one that runs is loaded
            command.description = _description(find_command(name))
            _add_options(command, name)
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    function = find_command(command)
    if options.pop("quiet", False):
        from autoencoders.runtime.progress import hide_progress

        hide_progress()
    if "params" in options:
        from autoencoders.params import load_params

        options["params"] = load_params(options["params"])
    function(**options)
    if recorded:
        recorded.check()
    elif os.environ.get("MLFLOW_RUN_ID"):
        from autoencoders.tracking import name_launched

        what = options.get("rung") or Path(options.get("model", "")).name
        name_launched(f"{command}: {what}" if what else command)


class _Version(argparse.Action):
    """Print the version. (argparse's own action takes it as text: looking it up would double the time of `--help`.)"""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from autoencoders import __version__

        print(f"autoencoders {__version__}")
        parser.exit()


@cache
def list_commands(package: str) -> dict[str, str]:
    """Return the commands in a package: their names, and the first lines of their modules' docstrings.

    A command is a module with a function of its name. It is read, not imported: most of them import torch.
    """
    found = {}
    for file in (Path(__file__).parent / package).glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if re.search(rf"^def {file.stem}\(", text, re.MULTILINE):
            found[file.stem.replace("_", "-")] = text.removeprefix('"""').splitlines()[0].rstrip('."')
    place = {name: at for at, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda command: (place.get(command[0], len(ORDER)), command[0])))


def find_command(name: str) -> Callable[..., None]:
    """Return the function of the command `name`, which is in a module of that name."""
    if name not in list_commands("commands"):
        return find_stage(name)
    found: Callable[..., None] = getattr(importlib.import_module(f"autoencoders.commands.{name}"), name)
    return found


def _overview() -> str:
    groups = {title: list_commands(package) for title, package in GROUPS.items()}
    width = max(len(name) for group in groups.values() for name in group)
    lines = []
    for title, group in groups.items():
        lines += [f"{title}:", *(f"  {name:{width}}  {summary}" for name, summary in group.items()), ""]
    return "\n".join([*lines, "`autoencoders command -h` explains a command and its options."])


def _description(function: Callable[..., None]) -> str:
    """Return the docstring of a command's function, with its arguments named as on the command line."""
    text = ERRORS.sub("", inspect.getdoc(function) or "")
    for name, parameter in inspect.signature(function).parameters.items():
        shown = f"--{name}" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else name.upper()
        text = text.replace(f"`{name}`", f"`{shown}`")
    return text


def _add_options(parser: argparse.ArgumentParser, command: str) -> None:
    explained = USE_OPTIONS if command in list_commands("commands") else STAGE_OPTIONS
    for name, parameter in inspect.signature(find_command(command)).parameters.items():
        text = explained.get(f"{command} {name}") or explained.get(name, "")
        if name == "params":
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameter = inspect.Parameter(name, keyword, default=Path("params.yaml"), annotation=Path)
        if parameter.annotation is bool:
            parser.add_argument(f"--{name}", action="store_true", help=text)
            continue
        kinds = (parameter.annotation, *get_args(parameter.annotation))  # list[Path] and Path | None hold a Path
        kind = next(kind for kind in METAVARS if kind in kinds)
        metavar = METAVARS[Path if Path in kinds else kind]  # Path | str is a path or a URL, which Path would change
        options: dict[str, Any] = {"type": kind, "metavar": metavar, "help": text}
        if get_origin(parameter.annotation) is list:
            options["nargs"] = "+"
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            parser.add_argument(name, **{**options, "metavar": name.upper()})
            continue
        if parameter.default is inspect.Parameter.empty:
            options["required"] = True
        elif parameter.default is not None:
            options |= {"default": parameter.default, "help": f"{text} (default: %(default)s)"}
        parser.add_argument(f"--{name}", **options)
