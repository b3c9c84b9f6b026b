"""The commands of `python -m pipeline`."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import yaml

from autoencoders.errors import UserError, printable
from autoencoders.kubeflow.inputs import to_kfp_inputs
from autoencoders.runtime.process import show_any_name
from pipeline.options import make_parser
from pipeline.overrides import overridden

if TYPE_CHECKING:
    from autoencoders.params import Params
    from pipeline.cluster.connection import Connection
    from pipeline.profiles import Profile

CRON_FIELDS = 6
CLOSED_PIPE = 128 + signal.SIGPIPE


def main(given: Sequence[str] | None = None) -> NoReturn:
    """Run a command. Exit with 2 after a user's mistake, with one line on stderr, and with 1 after a failed run."""
    show_any_name()
    try:
        options = make_parser().parse_args(given)
        code = COMMANDS[options.command](options)
        sys.stdout.flush()
        sys.exit(code or 0)
    except UserError as error:
        for line in f"error: {error}".split("\n"):  # each thing that a cluster lacks has a line
            print(printable(line), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads the output any more. What Python still flushes at exit is discarded.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)


def _compile(options: argparse.Namespace) -> None:
    from autoencoders.files.results import atomic_file, replaceable_file
    from pipeline.compiling import HEADING

    if options.out:
        replaceable_file(options.out, HEADING.encode())
    compiled, _, profile = _compiled(options)
    if options.out is None:
        print(compiled, end="")
        return
    with atomic_file(options.out) as draft:
        draft.write_text(compiled, encoding="utf-8")
    print(f"{options.out}: profile {options.profile}, image {profile.image}")


def _compiled(options: argparse.Namespace) -> "tuple[str, Params, Profile]":
    """Return the compiled pipeline, the parameters with the device named, and the profile."""
    from pipeline.compiling import compile_pipeline, on_devices
    from pipeline.profiles import load_profile

    profile = load_profile(options.profile, options.image)
    params = on_devices(profile, overridden(options.params, options.settings))
    return compile_pipeline(profile, params, not options.no_cache), params, profile


def _submit(options: argparse.Namespace) -> int:
    from pipeline.cluster.sending import Submission, describe, run_name, send

    if options.cron and len(options.cron.split()) != CRON_FIELDS:
        raise UserError(f"--cron {options.cron!r}: write six fields, seconds first: '0 0 3 * * *' is daily at 3:00.")
    compiled, params, profile = _compiled(options)
    submission = Submission(
        pipeline=compiled,
        arguments=to_kfp_inputs(params),
        experiment=options.experiment or params.tracking.experiment,
        name=options.run_name or run_name(options.settings),
        description=describe(options.settings, options.profile, profile.image, not options.no_cache),
        service_account=profile.service_account,
        cron=options.cron,
    )
    if options.dry_run:
        shown = {name: value for name, value in vars(submission).items() if name != "pipeline" and value is not None}
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
        print(f"---\n{submission.pipeline}", end="")
        return 0
    connection = _connect(options)
    from pipeline.cluster.follow import Follower
    from pipeline.cluster.sending import check
    from pipeline.cluster.snapshot import Watcher

    check(connection, profile)
    run_id = send(connection, submission)
    if options.cron or options.no_wait:
        return 0
    try:
        return Follower(Watcher(connection, run_id), options.give_up, len(params.models)).follow()
    except KeyboardInterrupt:
        print(f"\nThe run goes on: look at it with `python -m pipeline status {run_id}`.", file=sys.stderr)
        raise


def _status(options: argparse.Namespace) -> int:
    connection = _connect(options)
    from pipeline.cluster.snapshot import Watcher
    from pipeline.cluster.status import show

    return show(Watcher(connection, options.run))


def _upload(options: argparse.Namespace) -> None:
    from pipeline.cluster.registered import upload
    from pipeline.cluster.sending import code_version, describe
    from pipeline.graph import DESCRIPTION

    version = options.version or code_version()
    if not version:
        raise UserError("there is no git here to name the version by: name it with --version.")
    compiled, _, profile = _compiled(options)
    description = describe(options.settings, options.profile, profile.image, not options.no_cache)
    upload(_connect(options), compiled, options.name, version, description, DESCRIPTION)


def _recurring(options: argparse.Namespace) -> None:
    connection = _connect(options)
    from pipeline.cluster import registered

    if options.action == "list":
        registered.list_recurring(connection)
    elif options.action == "stop":
        registered.stop_recurring(connection, options.run)
    else:
        registered.delete_recurring(connection, options.run)


def _local(options: argparse.Namespace) -> None:
    from pipeline.local import run_locally
    from pipeline.profiles import load_profile

    params = overridden(options.params, options.settings)
    image = options.image or load_profile("cpu").image
    report = run_locally(params, options.root, image if options.runner == "docker" else None, options.verbose)
    print(f"report: {report}")


def _connect(options: argparse.Namespace) -> "Connection":
    from pipeline.cluster.connection import Connection

    return Connection(options.host, options.token_file, options.namespace)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "compile": _compile,
    "submit": _submit,
    "status": _status,
    "upload": _upload,
    "recurring": _recurring,
    "local": _local,
}


if __name__ == "__main__":
    main()
