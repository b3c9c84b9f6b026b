"""The commands of `python -m pipeline` and their options."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

from autoencoders.runtime.arguments import ArgumentParser
from pipeline.times import parse_duration

DESCRIPTION = "Compile the pipeline, send it to a cluster, show a run, or run all of it on this machine."


def make_parser() -> ArgumentParser:
    """Return the parser of all commands."""
    parser = ArgumentParser(prog="python -m pipeline", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    values, placement, server = _values(), _placement(), _server()

    compiled = _command(commands, "compile", "write the file that KFP takes", values, placement)
    compiled.add_argument(
        "--out", type=Path, metavar="PATH", help="file to write, in place of an earlier one (default: standard output)"
    )
    _add_submit(_command(commands, "submit", "run the pipeline on a cluster and follow it", values, placement, server))
    status = _command(commands, "status", "show a run and its tasks", server)
    status.add_argument("run", metavar="RUN", help="id of the run")

    upload = _command(commands, "upload", "register the pipeline with KFP", values, placement, server)
    upload.add_argument(
        "--name", default="autoencoders", metavar="NAME", help="name of the pipeline (default: %(default)s)"
    )
    upload.add_argument("--version", metavar="NAME", help="name of the version (default: the commit)")

    recurring = _command(commands, "recurring", "list recurring runs, or stop or delete one")
    actions = recurring.add_subparsers(dest="action", required=True, metavar="action")
    _command(actions, "list", "list all recurring runs and their schedules", server)
    for action, does in {
        "stop": "start no more runs of it; it stays in the list",
        "delete": "delete a recurring run",
    }.items():
        _command(actions, action, does, server).add_argument("run", metavar="ID", help="id of the recurring run")

    local = _command(commands, "local", "run the pipeline on this machine, without a cluster", values)
    local.add_argument(
        "--runner", choices=("subprocess", "docker"), default="subprocess",
        help="run each task as a process, or in a container of the image (default: %(default)s)",
    )  # fmt: skip
    root = Path(".cache/kubeflow")
    local.add_argument(
        "--root", type=Path, default=root, metavar="PATH", help="folder for artifacts (default: %(default)s)"
    )
    local.add_argument(
        "--verbose", action="store_true", help="print all that KFP and the tasks print, not only a line for each task"
    )
    return parser


def _command(commands: Any, name: str, does: str, *parents: ArgumentParser) -> ArgumentParser:
    added: ArgumentParser = commands.add_parser(
        name, parents=parents, help=does, description=f"{does[0].upper()}{does[1:]}."
    )
    return added


def _values() -> ArgumentParser:
    """Return the options that say what to run."""
    parser = ArgumentParser(add_help=False)
    path = Path("params.yaml")
    parser.add_argument(
        "--params", type=Path, default=path, metavar="PATH", help="file of parameters (default: %(default)s)"
    )
    parser.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="value in place of the one in params.yaml, such as models.vae.beta=4; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--image", metavar="NAME", help="image in place of the profile's; KFP reuses results only if it has a digest"
    )
    return parser


def _placement() -> ArgumentParser:
    """Return the options that say how tasks run."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--profile", default="cpu", metavar="NAME",
        help="placement profile: a name in pipeline/placement, or a YAML file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--no-cache", action="store_true", help="run every task, even if its result could be reused")
    return parser


def _server() -> ArgumentParser:
    """Return the options that name the server and its user."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--host", metavar="URL",
        help="KFP's server (default: KF_PIPELINES_ENDPOINT, else that of this cluster, else the kube config's)",
    )  # fmt: skip
    parser.add_argument(
        "--token-file", type=Path, metavar="PATH", help="file with a bearer token (default: the variable KFP_TOKEN)"
    )
    parser.add_argument(
        "--namespace", metavar="NAME",
        help="your namespace, if the server has several users; else the pods' namespace (default: kubeflow)",
    )  # fmt: skip
    return parser


def _add_submit(submit: ArgumentParser) -> None:
    submit.add_argument("--experiment", metavar="NAME", help="KFP's experiment (default: tracking.experiment)")
    submit.add_argument("--run-name", metavar="NAME", help="name of the run (default: what -S sets, or the time)")
    submit.add_argument("--cron", metavar="FIELDS", help="make a recurring run: six fields, seconds first")
    submit.add_argument(
        "--give-up",
        type=_duration,
        metavar="TIME",
        help="stop the run if none of its tasks can run for so long, such as 10m",
    )
    submit.add_argument("--no-wait", action="store_true", help="send the run, and do not follow it")
    submit.add_argument("--dry-run", action="store_true", help="print what would be sent")


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
