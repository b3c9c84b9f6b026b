"""Recurring runs, and versions of the pipeline: made, listed, stopped, refused."""

import re
from typing import Any

import pytest
from compiled import PINNED, parse
from kfp_double import Double

from pipeline.cluster import sending


@pytest.fixture(autouse=True)
def _commit(monkeypatch) -> None:
    monkeypatch.setattr(sending, "code_version", lambda: "66edca9b304f-dirty")


def test_a_recurring_run_is_made_and_not_waited_for(server, call, quick_compile):
    code, out, _ = call("submit", "--host", server.host, "--cron", "0 0 3 * * *", "--run-name", "nightly")
    assert code == 0
    sent = server.sent[-1]
    assert (sent["to"], sent["trigger"]) == ("recurringruns", {"cron_schedule": {"cron": "0 0 3 * * *"}})
    assert (sent["display_name"], sent["no_catchup"], sent["mode"], sent["max_concurrency"]) == (
        "nightly", True, "ENABLE", 1,
    )  # fmt: skip
    assert sent["plugins_input"] == {"mlflow": {"disabled": True}}
    assert out.splitlines()[-2:] == [
        f"KFP:    {server.host}/#/recurringrun/details/recurringruns-1",
        "Recurring run recurringruns-1: 0 0 3 * * *. Stop it with `python -m pipeline recurring stop recurringruns-1`.",
    ]
    code, _, err = call("submit", "--host", server.host, "--cron", "0 3 * * *")
    assert (code, err.startswith("error: --cron '0 3 * * *': write six fields")) == (2, True)


def test_recurring_runs_are_listed_with_their_last_run(server, call):
    assert call("recurring", "list", "--host", server.host)[1] == (
        "There are no recurring runs. `python -m pipeline submit --cron …` makes one.\n"
    )
    cron, hourly = {"cron_schedule": {"cron": "0 0 3 * * *"}}, {"periodic_schedule": {"interval_second": "3600"}}
    server.kept["recurringruns"] = [
        {"recurring_run_id": "r-1", "display_name": "nightly", "trigger": cron, "status": "ENABLED"},
        {"recurring_run_id": "r-22", "display_name": "hourly", "trigger": hourly, "status": "DISABLED"},
    ]
    server.kept["runs"] = [
        {"run_id": "3", "recurring_run_id": "r-1", "created_at": "2026-11-28T03:00:01Z", "state": "SUCCEEDED"},
        {"run_id": "2", "recurring_run_id": "r-1", "created_at": "2026-11-27T03:00:01Z", "state": "FAILED"},
        {"run_id": "1", "created_at": "2026-11-26T03:00:01Z", "state": "FAILED"},
    ]
    assert call("recurring", "list", "--host", server.host)[1] == (
        "ID    SCHEDULE      STATE    LAST RUN            NAME\n"
        "r-1   0 0 3 * * *   goes on  03:00:01 succeeded  nightly\n"
        "r-22  every 3600 s  stopped                      hourly\n"
    )


def test_recurring_runs_of_several_pages_are_all_listed(server, call):
    def paged(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        if "/recurringruns" not in path:
            return Double.answer(server, method, path, body, token)
        second = "page_token=two" in path
        rest = {} if second else {"next_page_token": "two"}
        return 200, {"recurringRuns": [{"recurring_run_id": "r-2" if second else "r-1"}], **rest}

    server.answer = paged
    out = call("recurring", "list", "--host", server.host)[1]
    assert re.findall("r-.", out) == ["r-1", "r-2"]


def test_a_recurring_run_is_stopped_or_deleted(server, call):
    server.kept["recurringruns"] = [{"recurring_run_id": "r-1"}]
    assert call("recurring", "stop", "r-1", "--host", server.host)[:2] == (
        0, "Recurring run r-1 is stopped. Runs that it has started go on.\n"
    )  # fmt: skip
    assert server.asked[-1] == "POST /apis/v2beta1/recurringruns/r-1:disable"
    assert call("recurring", "delete", "r-1", "--host", server.host)[:2] == (
        0, "Recurring run r-1 is deleted. Runs that it has started stay.\n"
    )  # fmt: skip
    assert server.asked[-1] == "DELETE /apis/v2beta1/recurringruns/r-1"
    assert call("recurring", "stop", "r-2", "--host", server.host)[::2] == (
        2, f"error: {server.host}: there is no recurring run 'r-2'. `python -m pipeline recurring list` shows them.\n"
    )  # fmt: skip


def test_the_pipeline_is_registered_by_its_commit(server, call):
    code, out, _ = call("upload", "--host", server.host, "--image", PINNED, "-S", "train.steps=3")
    assert code == 0
    made, version = server.sent
    assert (made["to"], made["display_name"]) == ("pipelines", "autoencoders")
    assert made["description"].startswith("Train, evaluate and compare autoencoders and VAEs")
    about = f"train.steps=3; profile cpu; image {PINNED}; commit 66edca9b304f-dirty"
    assert (version["to"], version["pipelineid"], version["name"], version["description"]) == (
        "pipelines/upload_version", "pipelines-1", "66edca9b304f-dirty", about,
    )  # fmt: skip
    file = re.search(rb"\r\n\r\n(# Compiled.*)\r\n--", version["file"], re.S)
    assert parse(file[1].decode()).containers["train"].image == PINNED
    assert out == (
        f"Pipeline autoencoders, version 66edca9b304f-dirty\n{about}\n"
        f"KFP:    {server.host}/#/pipelines/details/pipelines-1/version/version-1\n"
    )


def test_a_version_that_exists_is_reported_and_not_uploaded_again(server, call, quick_compile):
    server.kept["pipelines"] = [{"pipeline_id": "p-1", "display_name": "mine"}]
    server.kept["versions"] = [{"pipeline_version_id": "v-1", "display_name": "7"}]
    said = (
        "error: the pipeline mine has a version 7 already, and versions do not change. Commit what is new, or name "
        "another with --version.\n"
    )
    upload = ["upload", "--host", server.host, "--name", "mine", "--version"]
    assert call(*upload, "7")[::2] == (2, said)
    assert server.sent == []
    assert call(*upload, "8")[0] == 0
    assert [sent["to"] for sent in server.sent] == ["pipelines/upload_version"]
    # KFP's answer where somebody else was quicker.
    server.refuses = {"upload_version": (409, {"error_message": "Failed to create a pipeline version"})}
    assert call(*upload, "9")[::2] == (2, said.replace("7", "9"))


def test_without_git_a_version_must_be_named(server, call, monkeypatch):
    monkeypatch.setattr(sending, "code_version", lambda: "")
    assert call("upload", "--host", server.host)[::2] == (
        2, "error: there is no git here to name the version by: name it with --version.\n"
    )  # fmt: skip
