"""A connection to a Kubeflow Pipelines server: every answer as JSON, every failure in one line."""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoencoders.errors import UserError, without_password
from pipeline.cluster.failures import NO_KFP, TOKEN, Denied, Missing, Unreachable, failure, message_of, one_line
from pipeline.cluster.kube import failure_kind, kube_config

ENDPOINT = "KF_PIPELINES_ENDPOINT"
"""KFP's own environment variable for the server's address."""
TIMEOUT = (5, 30)
"""Seconds to connect, and to wait for an answer."""
API = "/apis/v2beta1"


class Connection:
    """Asks a server; raises `UserError` within seconds if it refuses or does not answer."""

    def __init__(self, host: str | None = None, token_file: Path | None = None, namespace: str | None = None) -> None:
        """Find the server and log in. `namespace` is the user's, if the server has several, else that of the pods."""
        address = _address(host)
        self._token_file = token_file
        self.name = without_password(address or "the cluster's Kubeflow Pipelines server")
        self._token = self._read_token()
        with self._one_line_errors():
            self._client = _client(address, self._token)
        self._api = self._client._run_api.api_client
        self.health = self._require_kfp()
        named = namespace or self._client.get_user_namespace() or self._own_namespace()
        self.namespace = named if self.has_users else None
        """The user's; None if the server has no users of its own, or none is named."""
        self.pods_namespace = named or "kubeflow"
        """The namespace in which the pods of a run are."""

    @property
    def has_users(self) -> bool:
        """Whether the server keeps the runs of several users apart, each in a namespace."""
        return bool(self.health.get("multi_user") or self.health.get("apiServerMultiUser"))

    @property
    def version(self) -> str:
        """KFP's version; empty if the server does not give it."""
        found = self.health.get("tag_name") or self.health.get("apiServerTagName") or ""
        return "" if found == "unknown" else str(found)

    def require_namespace(self) -> None:
        """Raise `UserError` where the server has several users and none is named."""
        if self.has_users and not self.namespace:
            raise UserError(f"{self.name} has several users: name your namespace with --namespace.")

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the answer to a GET request below the API's root."""
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer to a POST request below the API's root."""
        return self.request("POST", path, body)

    def renew_token(self) -> bool:
        """Read the token again; return whether it is another one now."""
        token = self._read_token()
        if token == self._token or token is None:
            return False
        self._token = token
        self._api.configuration.api_key["authorization"] = token
        return True

    def _read_token(self) -> str | None:
        if not self._token_file:
            return os.environ.get(TOKEN) or None
        try:
            return self._token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--token-file {self._token_file} cannot be read ({error}).") from None

    def page(self, kind: str, ident: str) -> str:
        """Return the address of a page of KFP's."""
        prefix = without_password(self._client._get_url_prefix())
        return f"{prefix if '://' in prefix else '<the page of KFP>'}/#/{kind}/details/{ident}"

    def request(self, method: str, path: str, body: Any = None, query: Any = None, files: Any = None) -> dict[str, Any]:
        """Return the answer to a request below the API's root; `files`: paths by the names of their fields."""
        kind = "multipart/form-data" if files else "application/json"
        with self._one_line_errors():
            answer = self._api.call_api(
                f"{API}/{path}",
                method,
                query_params=[(name, value) for name, value in (query or {}).items() if value is not None],
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=body,
                files=files,
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=TIMEOUT,
            )
            data = answer.data
        try:
            found = json.loads(data or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Denied(NO_KFP.format(name=self.name))
        return found

    def _require_kfp(self) -> dict[str, Any]:
        try:
            return self.get("healthz")
        except Missing:
            raise UserError(
                f"{self.name} is not a Kubeflow Pipelines server of version 2 (HTTP 404 for its health)."
            ) from None

    def _own_namespace(self) -> str | None:
        """Return the namespace of the pod that this process runs in, where the server keeps users apart by theirs."""
        with contextlib.suppress(OSError):
            return Path(self._client._NAMESPACE_PATH).read_text(encoding="utf-8") if self.has_users else None
        return None

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Turn what the client raises into one line."""
        from kfp_server_api.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:
            raise failure(self.name, error.status or 0, message_of(error)) from None
        except AttributeError as error:  # the client's own, in its handling of a TLS error
            raise Unreachable(f"{self.name} does not answer ({one_line(str(error.__context__ or error))})") from None
        except (HTTPError, TimeoutError, OSError, UnicodeError) as error:
            raise Unreachable(
                f"{self.name} does not answer ({failure_kind(error)})", "Is the address right, and the port forwarded?"
            ) from None


def _address(host: str | None) -> str | None:
    """Return the server's address, or None if the cluster around or the kube config has it; raise `UserError` if none.

    `host` may lack its scheme; without `host`, the variable `ENDPOINT` holds.
    """
    if host := host or os.environ.get(ENDPOINT):
        return (host if host.startswith(("http://", "https://")) else f"https://{host}").rstrip("/")
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    files = kube_config()
    if files is None:
        raise UserError(
            f"which server? Name it with --host or {ENDPOINT}, such as --host http://localhost:8080 behind "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`."
        )
    import kubernetes

    try:
        kubernetes.config.load_kube_config(files, client_configuration=kubernetes.client.Configuration())
    except Exception as error:  # of whatever reads the file, or runs the program that it names for a login
        raise UserError(
            f"the kube config cannot be used ({one_line(str(error))}). Name the server with --host."
        ) from None
    return None


def _client(address: str | None, token: str | None) -> Any:
    """Return kfp's client, which finds the server and logs in."""
    import kfp
    import kfp_server_api
    import urllib3

    class Client(kfp.Client):
        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            """Ask nothing: kfp's own asks five times, five seconds apart, and logs each."""
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)

    warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    client = Client(host=address, existing_token=token)
    pools = client._run_api.api_client.rest_client.pool_manager.connection_pool_kw
    pools["retries"] = urllib3.Retry(connect=0, read=0, redirect=2)
    return client
