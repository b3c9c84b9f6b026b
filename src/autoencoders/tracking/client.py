"""Where MLflow is, whether it answers, and keeping it quiet."""

import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from autoencoders.errors import UserError, without_password
from autoencoders.runtime.pod import kfp_run
from autoencoders.tracking.database import SQLITE, held, is_known, newer, older, require, split_uri, uri_of
from autoencoders.tracking.moved import follow_move

if TYPE_CHECKING:
    import requests
    from mlflow import MlflowClient

for variable, value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's 7 would stall a training for minutes
    "GIT_PYTHON_REFRESH": "quiet",  # where there is no git, in an image
}.items():
    os.environ.setdefault(variable, value)
warnings.filterwarnings("ignore", module=r"mlflow(\.|$)")

PAGES = "AUTOENCODERS_MLFLOW_PAGES"
"""Environment variable: MLflow's address for browsers, where it is not MLFLOW_TRACKING_URI."""
T = TypeVar("T")
HEALTH_TIMEOUT = 5.0
OUTAGE = 300.0
"""Seconds for which a task in a pod waits for a server before it fails."""
POLL = 5.0
"""Seconds between looks at a server that is waited for."""
HEALTH_PATHS = ("/health", "/api/2.0/mlflow/experiments/search?max_results=1")
"""Hosted servers may have the API alone."""


class Unavailable(UserError):
    """The server does not answer, and may do so later; `what` says so without the advice."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what


def repository_root() -> Path:
    """Return the folder of `dvc.yaml` that runs belong to; for a DVC experiment in a copy, the original's."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").exists()), here)


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, by default the database `mlflow.db` in the repository root; files as absolute.

    Raises `UserError` where MLflow could not name such a file.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return uri_of(repository_root() / "mlflow.db")
    return uri_of(*split_uri(uri)) if uri.startswith(SQLITE) else uri


def database() -> Path | None:
    """Return the file that holds the runs, or None where a server does."""
    uri = tracking_uri()
    return split_uri(uri)[0] if uri.startswith(SQLITE) else None


def artifact_root() -> Path | None:
    """Return the folder beside a local database in which its artifacts go; a server has its own."""
    file = database()
    return file.parent / "mlartifacts" if file else None


def connect() -> "MlflowClient":
    """Import MLflow and return a client of `tracking_uri()`, whose tables exist."""
    file = database()
    if file and not file.exists():
        print(f"creating MLflow's database {file} (once, about 10 s)", flush=True)
    import mlflow

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("mlflow.system_metrics", "mlflow.store"):  # they complain of outages in their own way
        logging.getLogger(name).setLevel(logging.CRITICAL)
    mlflow.set_tracking_uri(tracking_uri())
    try:
        with _making_tables(file):
            client = mlflow.MlflowClient()
            client.get_experiment_by_name("Default")
    except mlflow.MlflowException as error:
        if found := re.search(r"found version (\w+), but expected", str(error)):
            where = without_password(tracking_uri())
            raise UserError(older(where) if is_known(found[1]) else newer(where)) from None
        raise
    return client


@contextmanager
def _making_tables(file: Path | None) -> Iterator[None]:
    """Make a local database's tables in one process at a time, and its experiment `Default` independent of the cwd."""
    root = artifact_root()
    if file is None or root is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    place = "_MLFLOW_SERVER_ARTIFACT_ROOT"  # MLflow's own, for stores that are opened without an artifact root
    with held(file.with_name(f"{file.name}.lock")):
        if file.exists():
            follow_move(file, root)
        os.environ[place] = str(root)
        try:
            yield
        finally:
            del os.environ[place]


def server_address() -> str | None:
    """Return MLflow's address for a browser, or None where the runs are on no server.

    It is the one that AUTOENCODERS_MLFLOW_PAGES names, where processes and browsers use different addresses.
    """
    if not tracking_uri().startswith(("http://", "https://")):
        return None
    return without_password(os.environ.get(PAGES) or tracking_uri()).rstrip("/")


def run_page(experiment_id: str, run_id: str) -> str | None:
    """Return the address of a run's page for a browser, or None where no server shows one."""
    server = server_address()
    if server is None:
        return None
    workspace = os.environ.get("MLFLOW_WORKSPACE")
    within = f"?workspace={quote(workspace, safe='')}" if workspace else ""
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}{within}"


def require_server(writes: bool = False) -> None:
    """Raise `UserError` within seconds where MLflow does not answer, or its database cannot be opened.

    With `writes`, the database must be one that can be written.

    In a pod, whose task Kubeflow does not try again when it fails, it has `OUTAGE` seconds to come back.
    """
    until, told = time.monotonic() + OUTAGE, False
    while True:
        try:
            return ask_server(writes)
        except Unavailable as error:
            if kfp_run() is None or time.monotonic() > until:
                raise
            if not told:
                print(f"{error.what} Waiting for it, {OUTAGE / 60:.0f} min at most.", file=sys.stderr, flush=True)
            told = True
            time.sleep(POLL)


def ask_server(writes: bool = False) -> None:
    """Raise `UserError` where MLflow's database cannot be opened, or its server does not answer, refuses access or is
    no MLflow."""
    uri = tracking_uri()
    if (file := database()) and kfp_run() is None:  # a task in a pod may wait for an equal one, and opens it later
        require(file, writes)
    if not uri.startswith(("http://", "https://")):
        return
    import requests

    fix = "Start it, correct MLFLOW_TRACKING_URI, or unset the variable to use the local database."
    if kfp_run():
        fix = "See that it runs, and that the address in the secret is the one that pods use."
    server = f"the MLflow server at {without_password(uri)}"
    try:
        for path in HEALTH_PATHS:
            answer = get(path)
            if answer.status_code != 404:
                break
    except requests.RequestException as error:
        raise Unavailable(f"{server} does not answer ({type(error).__name__}).", fix) from None
    if answer.status_code in (401, 403):
        raise UserError(
            f"{server} refuses access (HTTP {answer.status_code}). "
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; "
            "for an unknown host name, start the server with --allowed-hosts."
        )
    if answer.status_code == 404:
        raise UserError(f"there is no MLflow at {without_password(uri)}: HTTP 404 for /health and for its API. {fix}")
    if answer.status_code >= 500:
        raise Unavailable(f"{server} is in trouble (HTTP {answer.status_code}).", fix)


def get(path: str) -> "requests.Response":
    """Return the server's answer to a GET of `path`, asked as MLflow's own client would; raises what `requests` raises.

    The deadline holds for all of it: one that `requests` is given begins anew with each byte that comes.
    """
    import requests

    def ask() -> requests.Response:
        with requests.Session() as session:
            _authorize(session)
            return session.get(f"{tracking_uri().rstrip('/')}{path}", timeout=HEALTH_TIMEOUT)

    try:
        return within(2 * HEALTH_TIMEOUT, ask)
    except TimeoutError:
        raise requests.Timeout from None


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns, from a thread that is left behind after `seconds`; then raise `TimeoutError`."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(seconds)


def _authorize(session: "requests.Session") -> None:
    environ = os.environ.get
    if (user := environ("MLFLOW_TRACKING_USERNAME")) and (password := environ("MLFLOW_TRACKING_PASSWORD")):
        session.auth = (user, password)
    elif token := environ("MLFLOW_TRACKING_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    if environ("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        session.verify = False
    elif certificate := environ("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        session.verify = certificate
