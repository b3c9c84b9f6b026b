"""`python -m pipeline`: compile the pipeline, send it to a cluster, look at a run, or run all of it here."""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import yaml

from autoencoders.errors import UserError
from autoencoders.kubeflow import arguments
from pipeline.overrides import overridden

if TYPE_CHECKING:
    from pipeline.cluster import Cluster

CRON_FIELDS = 6


def main(given: Sequence[str] | None = None) -> NoReturn:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2, a failed run in 1."""
    options = _parser().parse_args(given)
    try:
        sys.exit(COMMANDS[options.command](options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _compile(options: argparse.Namespace) -> int:
    from pipeline.compiling import compile_text
    from pipeline.profiles import load_profile

    profile = load_profile(options.profile, options.image)
    text = compile_text(profile, overridden(options.params, options.settings), not options.no_cache)
    if options.out is None:
        print(text, end="")
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: profile {options.profile}, image {profile.image}")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from pipeline.cluster import Submission
    from pipeline.compiling import compile_text
    from pipeline.profiles import load_profile

    if options.cron and len(options.cron.split()) != CRON_FIELDS:
        raise UserError(f"--cron {options.cron!r}: write six fields, seconds first: '0 0 3 * * *' is daily at 3:00.")
    profile, params = load_profile(options.profile, options.image), overridden(options.params, options.settings)
    one = Submission(
        pipeline=compile_text(profile, params, not options.no_cache),
        arguments=arguments(params),
        experiment=options.experiment or params.tracking.experiment,
        name=options.run_name or f"autoencoders {datetime.now():%Y-%m-%d %H:%M:%S}",
        service_account=profile.service_account,
        cron=options.cron,
    )
    if options.dry_run:
        shown = {name: value for name, value in vars(one).items() if name != "pipeline" and value is not None}
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
        print(f"---\n{one.pipeline}", end="")
        return 0
    cluster = _cluster(options)
    run_id = cluster.submit(one)
    if options.cron or options.no_wait:
        return 0
    try:
        return cluster.follow(run_id)
    except KeyboardInterrupt:
        print(f"\nThe run goes on: look at it with `python -m pipeline status {run_id}`.", file=sys.stderr)
        raise


def _status(options: argparse.Namespace) -> int:
    return _cluster(options).show(options.run)


def _local(options: argparse.Namespace) -> int:
    from pipeline.local import run_locally
    from pipeline.profiles import load_profile

    params = overridden(options.params, options.settings)
    image = options.image or load_profile("cpu").image
    report = run_locally(params, options.root, image if options.runner == "docker" else None)
    print(f"report: {report}")
    return 0


def _cluster(options: argparse.Namespace) -> "Cluster":
    from pipeline.cluster import Cluster, Server

    return Cluster(Server(options.host, options.token_file, options.namespace))


COMMANDS = {"compile": _compile, "submit": _submit, "status": _status, "local": _local}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    values = argparse.ArgumentParser(add_help=False)
    values.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH", help="default: %(default)s")
    values.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value in place of params.yaml's",
    )
    values.add_argument(
        "--image", metavar="NAME", help="in place of the profile's; with its digest, KFP reuses results"
    )

    placed = argparse.ArgumentParser(add_help=False)
    placed.add_argument(
        "--profile", default="cpu", metavar="NAME", help="in pipeline/placement, or a file; default: cpu"
    )
    placed.add_argument("--no-cache", action="store_true", help="run every task, whatever was run before")

    server = argparse.ArgumentParser(add_help=False)
    server.add_argument("--host", metavar="URL", help="default: KF_PIPELINES_ENDPOINT, the cluster around, kube config")
    server.add_argument("--token-file", type=Path, metavar="PATH", help="a bearer token; default: KFP_TOKEN")
    server.add_argument("--namespace", metavar="NAME", help="yours, where the server has several users")

    compiled = commands.add_parser("compile", parents=[values, placed], help="write the file that KFP takes")
    compiled.add_argument("--out", type=Path, metavar="PATH", help="default: standard output")

    submit = commands.add_parser("submit", parents=[values, placed, server], help="run it on a cluster and follow it")
    submit.add_argument("--experiment", metavar="NAME", help="KFP's; default: tracking.experiment")
    submit.add_argument("--run-name", metavar="NAME", help="default: autoencoders and the time")
    submit.add_argument("--cron", metavar="FIELDS", help="a recurring run: six fields, seconds first")
    submit.add_argument("--no-wait", action="store_true", help="send it and leave")
    submit.add_argument("--dry-run", action="store_true", help="print what would be sent")

    status = commands.add_parser("status", parents=[server], help="show a run and its tasks")
    status.add_argument("run", metavar="RUN", help="its id")

    local = commands.add_parser("local", parents=[values], help="run all of it on this machine, without a cluster")
    local.add_argument("--runner", choices=("subprocess", "docker"), default="subprocess", help="default: %(default)s")
    local.add_argument(
        "--root", type=Path, default=Path(".cache/kubeflow"), metavar="PATH", help="for artifacts; default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    main()
