"""Where MLflow is, whether it answers, and keeping it quiet."""

import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from autoencoders.errors import UserError, without_password
from autoencoders.runtime.pod import kfp_run
from autoencoders.tracking import database

if TYPE_CHECKING:
    import requests
    from mlflow import MlflowClient

PAGES_VARIABLE = "AUTOENCODERS_MLFLOW_PAGES"
"""Environment variable: MLflow's address for browsers, where it is not MLFLOW_TRACKING_URI."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's 7 would stall a training for minutes
    # Through the server: its store, as in a cluster, may be out of reach from here, and requests to it would stall.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # where there is no git, in an image
}
"""Defaults of MLflow's environment variables."""
_CONNECTING = threading.Lock()  # the variable that names the artifact path belongs to the whole process
HEALTH_TIMEOUT = 5.0
MAX_OUTAGE = 300.0  # seconds for which a task in a pod waits for a server before it fails
POLL_INTERVAL = 5.0  # seconds between requests while waiting for a server
HEALTH_PATHS = ("/health", "/api/2.0/mlflow/experiments/search?max_results=1")
"""Hosted servers may have the API alone."""


class Unavailable(UserError):
    """The server does not answer now, but may later; `what` is the message without the advice."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what


def repository_root() -> Path:
    """Return the folder with `dvc.yaml`; for a DVC experiment that runs in a copy, the original repository."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").exists()), here)


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, by default the database `mlflow.db` in the repository root; files as absolute.

    Raise `UserError` where MLflow could not name such a file.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return database.uri_of(repository_root() / "mlflow.db")
    return database.uri_of(*database.split_uri(uri)) if uri.startswith(database.SQLITE) else uri


def local_database() -> Path | None:
    """Return the file that holds the runs, or None where a server does."""
    uri = tracking_uri()
    return database.split_uri(uri)[0] if uri.startswith(database.SQLITE) else None


def no_database(what: str, file: Path) -> UserError:
    """Return the error for `what` to be looked up in a local database that does not exist."""
    return UserError(
        f"{what}: MLflow's database {file} does not exist. Run from the repository root, or set MLFLOW_TRACKING_URI."
    )


def artifact_root() -> Path | None:
    """Return the artifact folder beside a local database, or None where a server has its own."""
    file = local_database()
    return file.parent / "mlartifacts" if file else None


def configure() -> None:
    """Import MLflow so that it is quiet and does not wait for a server for minutes."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    warnings.filterwarnings("ignore", module=r"mlflow(\.|$)")
    import mlflow  # noqa: F401  it sets levels of its own

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("mlflow.system_metrics", "mlflow.store"):  # they report outages themselves
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connect() -> "MlflowClient":
    """Import MLflow and return a client of `tracking_uri()`, whose tables exist."""
    file = local_database()
    if file and not file.exists():
        print(f"creating MLflow's database {file} (once, about 10 s)", flush=True)
    configure()
    import mlflow

    mlflow.set_tracking_uri(tracking_uri())
    try:
        with _making_tables(file):
            client = mlflow.MlflowClient()
            client.get_experiment_by_name("Default")
    except mlflow.MlflowException as error:
        if found := re.search(r"found version (\w+), but expected", str(error)):
            raise database.of_another_mlflow(without_password(tracking_uri()), found[1]) from None
        raise
    return client


@contextmanager
def _making_tables(file: Path | None) -> Iterator[None]:
    """Let one thread of one process at a time create a local database's tables, with an absolute artifact path."""
    root = artifact_root()
    if file is None or root is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    variable = "_MLFLOW_SERVER_ARTIFACT_ROOT"  # MLflow's own, for stores that are opened without an artifact root
    with _CONNECTING, database.file_lock(file.with_name(f"{file.name}.lock")):
        if file.exists():
            database.follow_move(file, root)
        os.environ[variable] = str(root)
        try:
            yield
        finally:
            del os.environ[variable]


def server_address() -> str | None:
    """Return MLflow's address for a browser, or None where the runs are on no server.

    AUTOENCODERS_MLFLOW_PAGES overrides it, where browsers use another address than processes.
    """
    if not tracking_uri().startswith(("http://", "https://")):
        return None
    return without_password(os.environ.get(PAGES_VARIABLE) or tracking_uri()).rstrip("/")


def run_url(experiment_id: str, run_id: str) -> str | None:
    """Return the address of a run's page for a browser, or None where no server shows one."""
    server = server_address()
    if server is None:
        return None
    workspace = os.environ.get("MLFLOW_WORKSPACE")
    within = f"?workspace={quote(workspace, safe='')}" if workspace else ""
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}{within}"


def require_server(writes: bool = False) -> None:
    """Raise `UserError` within seconds where MLflow does not answer, or its database cannot be opened.

    With `writes`, the database must be writable, too. In a pod, wait up to `MAX_OUTAGE` seconds for the server:
    Kubeflow does not retry a task that fails.
    """
    until, announced = time.monotonic() + MAX_OUTAGE, False
    while True:
        try:
            return ask_server(writes)
        except Unavailable as error:
            if kfp_run() is None or time.monotonic() > until:
                raise
            if not announced:
                print(f"{error.what} Waiting for it, {MAX_OUTAGE / 60:.0f} min at most.", file=sys.stderr, flush=True)
            announced = True
            time.sleep(POLL_INTERVAL)


def ask_server(writes: bool = False) -> None:
    """Check once: raise `Unavailable` where the server does not answer, `UserError` where waiting cannot help."""
    uri, file = tracking_uri(), local_database()
    if file and kfp_run() is None:  # a task in a pod may wait for an equal one and open it later
        database.require(file, writes)
    if not uri.startswith(("http://", "https://")):
        return
    import requests

    fix = "Start it, correct MLFLOW_TRACKING_URI, or unset the variable to use the local database."
    if kfp_run():
        fix = "See that it runs, and that the address in the secret is the one that pods use."
    server = f"the MLflow server at {without_password(uri)}"
    try:
        for path in HEALTH_PATHS:
            status = get(path).status_code
            if status != 404:
                break
    except requests.RequestException as error:
        raise Unavailable(f"{server} does not answer ({type(error).__name__}).", fix) from None
    if status in (401, 403):
        raise UserError(
            f"{server} refuses access (HTTP {status}). "
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; "
            "for an unknown host name, start the server with --allowed-hosts."
        )
    if status == 404:
        raise UserError(f"there is no MLflow at {without_password(uri)}: HTTP 404 for /health and for its API. {fix}")
    if status >= 500:
        raise Unavailable(f"{server} is in trouble (HTTP {status}).", fix)


def get(path: str) -> "requests.Response":
    """Send a GET of `path` to the server as MLflow's own client would, and return the response.

    Raise what `requests` raises. The deadline is for the whole response: the timeout of `requests` restarts with each
    byte.
    """
    import requests

    answer: Future[requests.Response] = Future()

    def ask() -> None:
        try:
            with requests.Session() as session:
                _authorize(session)
                answer.set_result(session.get(f"{tracking_uri().rstrip('/')}{path}", timeout=HEALTH_TIMEOUT))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()  # left behind at the deadline
    try:
        return answer.result(2 * HEALTH_TIMEOUT)
    except TimeoutError:
        raise requests.Timeout from None


def _authorize(session: "requests.Session") -> None:
    value = os.environ.get
    if (user := value("MLFLOW_TRACKING_USERNAME")) and (password := value("MLFLOW_TRACKING_PASSWORD")):
        session.auth = (user, password)
    elif token := value("MLFLOW_TRACKING_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    if value("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        session.verify = False
    elif certificate := value("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        session.verify = certificate
