"""Following a run: outages, tokens that expire, a run that vanishes, and the exit codes."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from cluster_fixtures import Clock, replay
from kfp_double import Double, missing

pytestmark = pytest.mark.usefixtures("quick_compile")


def between(server: Double, clock: Clock, start: float, end: float, answer: tuple[int, Any]) -> None:
    """Have the server answer so between these seconds of the run."""
    began, ask = clock.now, server.answer

    def sometimes(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        is_then = start <= (clock.now - began).total_seconds() < end
        return answer if is_then and "/runs/" in path else ask(method, path, body, token)

    server.answer = sometimes


# KFP's answer while its database is away, as far as it was seen.
AWAY = 500, {"error": "Failed to get a run: connection refused", "code": 13}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (AWAY, "answers with an error (HTTP 500: Failed to get a run: connection refused)"),
        ((502, "bad gateway"), "answers with an error (HTTP 502: Bad Gateway)"),
        ((503, "no healthy upstream"), "answers with an error (HTTP 503: Service Unavailable)"),
    ],
)
def test_a_server_that_is_away_is_waited_for_and_that_is_said_once(server, clock, call, answer, what):
    replay(server, clock, "cached")
    between(server, clock, 60, 105, answer)
    code, out, _ = call("submit", "--host", server.host)
    assert code == 0
    told = [line[10:] for line in out.splitlines() if server.host in line and "KFP:" not in line]
    assert told == [
        f"{server.host} {what}; the run goes on; asking again for up to 5 min",
        f"{server.host} answers again",
    ]
    assert "full-2-same: succeeded" in out


def test_a_server_that_stays_away_ends_the_following_not_the_run(server, clock, call):
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, AWAY)
    began = clock.now
    code, _, err = call("submit", "--host", server.host)
    assert (code, err) == (
        2,
        f"error: {server.host} answers with an error (HTTP 500: Failed to get a run: connection refused). "
        f"The run goes on: look at it later with `python -m pipeline status {recorded.run_id}`.\n",
    )
    assert 360 < (clock.now - began).total_seconds() < 372
    assert not server.stopped


def test_a_token_that_expires_is_read_anew_once_and_then_reported(server, clock, call, tmp_path):
    recorded = replay(server, clock, "cached")
    file, ask = tmp_path / "token", server.answer
    file.write_text("first")
    valid = {"Bearer first"}

    def checks(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        if "/runs/" in path and clock.now - recorded.began > timedelta(seconds=60):
            valid.discard("Bearer first")
            file.write_text("second")
            valid.add("Bearer second")
        if "/runs/" in path and clock.now - recorded.began > timedelta(seconds=120):
            valid.clear()
        return ask(method, path, body, token) if token in valid else (401, {})

    server.answer = checks
    code, out, err = call("submit", "--host", server.host, "--token-file", str(file))
    assert (code, err) == (
        2,
        f"error: {server.host} no longer accepts the token: it has expired, or was taken back. The run goes on: look "
        f"at it later with `python -m pipeline status {recorded.run_id}`.\n",
    )
    assert timedelta(seconds=120) < clock.now - recorded.began <= timedelta(seconds=130)
    assert "evaluate pca" in out  # which was reused in the second minute, with the second token
    assert set(server.tokens) == {"Bearer first", "Bearer second"}


def test_a_page_for_a_login_in_mid_run_is_a_token_that_has_expired(server, clock, call):
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, (200, "<!doctype html><title>Log in"))
    code, _, err = call("submit", "--host", server.host)
    assert code == 2
    assert err.startswith(f"error: {server.host} no longer accepts the token: it has expired, or was taken back.")
    assert recorded.run_id in err


def test_a_run_that_vanishes_is_reported(server, clock, call):
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, missing(recorded.run_id))
    code, _, err = call("submit", "--host", server.host)
    assert (code, err) == (2, f"error: {server.host}: there is no run {recorded.run_id!r}.\n")


def test_it_is_said_at_once_of_more_than_four_models_that_kfp_s_task_list_will_stand_still(
    server, clock, call, tmp_path, repository_params
):
    raw = repository_params.model_dump(mode="json", exclude_none=True)
    for count in (4, 5):
        models = dict(list(raw["models"].items())[:count])
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({**raw, "models": models}, sort_keys=False))
        replay(server, clock, "cached")
        _, out, _ = call("submit", "--host", server.host, "--params", str(tmp_path / "params.yaml"))
        assert ("KFP's list of tasks will stand still before the run ends" in out) == (count == 5)
