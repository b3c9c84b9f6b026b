"""Asking a server: where it is, who asks, and one line for each way in which it can fail."""

import json

import pytest
from kube_double import write_kube_config

from pipeline.cluster import connection, failures
from pipeline.cluster.connection import Connection

DENIED = (
    "refuses access (HTTP {}). Give a token with --token-file or KFP_TOKEN; where the server has several users, name "
    "yours with --namespace."
)
# What KFP answers while its database is away, as far as the message was seen.
AWAY = {
    "error": "Failed to get a run: connection refused",
    "code": 13,
    "message": "Failed to get a run: connection refused",
}


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        ({"healthz": (401, {})}, DENIED.format(401)),
        ({"healthz": (403, {})}, DENIED.format(403)),
        ({"healthz": (404, {})}, "is not a Kubeflow Pipelines server of version 2 (HTTP 404 for its health)."),
        ({"healthz": (200, "<!doctype html>")},
         "answers with a page, not as Kubeflow Pipelines does. Is the address right? If there is a login before it, "
         "give a token with --token-file or KFP_TOKEN."),
        ({"healthz": (503, "upstream connect error")}, "answers with an error (HTTP 503: Service Unavailable)."),
        ({"/runs": (403, {"message": "no"})}, DENIED.format(403)),
        ({"/runs": (400, {"message": "invalid\npipeline"})}, "refuses: invalid pipeline"),
        ({"/experiments": (500, AWAY)}, "answers with an error (HTTP 500: Failed to get a run: connection refused)."),
        ({"/runs": (400, {"message": 'failed to unmarshal kubernetes config: proto: (line 1:2): unknown field '
                                     '"securityContext"'})},
         "does not know `securityContext`, which was sent: it is older than the KFP that this project is for. "
         "Update it."),
        ({"/runs": (500, {"message": 'Failed to create a workflow: namespaces "gone" not found'})},
         "has no namespace gone. Name yours with --namespace."),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line(server, call, quick_compile, refuses, said):
    server.refuses = refuses
    code, _, err = call("submit", "--host", server.host)
    assert (code, err) == (2, f"error: {server.host} {said}\n")


def test_a_run_that_is_not_there_is_reported(server, call):
    for name in ("other", "../experiments"):
        code, _, err = call("status", name, "--host", server.host)
        assert (code, err) == (2, f"error: {server.host}: there is no run {name!r}.\n")
    assert server.asked[-1] == "GET /apis/v2beta1/runs/../experiments"


def test_a_server_that_is_not_there_is_reported_at_once_and_without_password(server, call):
    code, _, err = call("status", "x", "--host", "http://me:secret@127.0.0.1:9")
    why = "does not answer (NewConnectionError). Is the address right, and the port forwarded?"
    assert (code, err) == (2, f"error: http://127.0.0.1:9 {why}\n")
    code, _, err = call("status", "x", "--host", server.host.replace("http:", "https:"))
    assert code == 2
    assert err.startswith(f"error: {server.host.replace('http:', 'https:')} does not answer (")
    assert err.count("\n") == 1


def test_a_missing_address_and_a_kube_config_that_leads_nowhere_are_reported(server, call, monkeypatch, tmp_path):
    code, _, err = call("status", "x")
    assert code == 2
    assert err.startswith("error: which server? Name it with --host or KF_PIPELINES_ENDPOINT")
    (tmp_path / "kube.yaml").write_text("[]")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube.yaml"))
    code, out, err = call("status", "x")
    assert (code, out) == (2, "")
    assert err.startswith("error: the kube config cannot be used (")
    assert err.endswith("). Name the server with --host.\n")
    write_kube_config(tmp_path / "kube.yaml", "http://127.0.0.1:9")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kube.yaml"))
    code, out, err = call("status", "x")
    said = "the cluster's Kubeflow Pipelines server does not answer (NewConnectionError)."
    assert (code, out, err.partition(" Is the")[0]) == (2, "", f"error: {said}")


def test_a_token_reaches_the_server_from_file_or_environment(server, call, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    assert call("status", "runs-1", "--host", server.host, "--token-file", str(tmp_path / "token"))[0] == 0
    assert set(server.tokens) == {"Bearer from-file"}
    server.tokens.clear()
    monkeypatch.setenv(failures.TOKEN, "from-environment")
    monkeypatch.setenv(connection.ENDPOINT, server.host)
    assert call("status", "runs-1")[0] == 0
    assert set(server.tokens) == {"Bearer from-environment"}
    assert call("status", "runs-1", "--token-file", "nowhere")[2].startswith(
        "error: --token-file nowhere cannot be read"
    )


@pytest.mark.parametrize(
    ("health", "version"),
    [
        # KFP's own server, its page's, and versions that say nothing of theirs.
        ({"commit_sha": "x", "tag_name": "2.17.0", "multi_user": False, "pipeline_store": "database"}, "2.17.0"),
        ({"apiServerTagName": "2.14.3", "apiServerMultiUser": False, "apiServerReady": True}, "2.14.3"),
        ({"commit_sha": "unknown", "tag_name": "unknown", "multi_user": False}, ""),
        ({"multi_user": False}, ""),
    ],
)
def test_the_version_is_that_of_the_server_s_answer(server, health, version):
    server.health = health
    found = Connection(server.host)
    assert (found.version, found.has_users, found.namespace) == (version, False, None)
    elsewhere = Connection(server.host, namespace="kfp")  # where all that is KFP's is, and the pods
    assert (found.pods_namespace, elsewhere.namespace, elsewhere.pods_namespace) == ("kubeflow", None, "kfp")


def test_a_server_with_several_users_wants_a_namespace(server, call, tmp_path):
    server.health = {"multi_user": True}
    said = f"error: {server.host} has several users: name your namespace with --namespace.\n"
    for command in (["submit"], ["upload", "--version", "1"], ["recurring", "list"]):
        assert call(*command, "--host", server.host)[::2] == (2, said)
    mine = Connection(server.host, namespace="mine")
    assert (mine.namespace, mine.pods_namespace) == ("mine", "mine")
    (tmp_path / "context.json").write_text(json.dumps({"namespace": "kept"}))  # of kfp's own client
    assert Connection(server.host).namespace == "kept"


def test_a_namespace_without_rights_is_named(server, call, quick_compile):
    server.health = {"multi_user": True}
    # The body is that of KFP's authorization, shortened.
    server.refuses = {"/experiments": (403, {"code": 7, "message": "PermissionDenied: User 'me' is not authorized"})}
    code, _, err = call("submit", "--host", server.host, "--namespace", "theirs")
    assert (code, err) == (
        2,
        f"error: {server.host} gives no rights in namespace theirs, or there is none of that name. Name yours with "
        "--namespace, or ask its owner to add you.\n",
    )
