import hashlib
from pathlib import Path

import pytest
from mlflow import MlflowClient

from autoencoders.tracking import RunPublisher
from autoencoders.tracking.ladder_content import REPORT

from tracked import everything  # isort: skip


def test_a_report_that_has_a_run_leaves_an_injected_one_alone(
    injected: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "index.html"
    page.write_text("<h1>Report</h1>")
    monkeypatch.delenv("MLFLOW_RUN_ID")
    with RunPublisher("autoencoders") as runs:
        runs.log_report(page)
    [own] = [run.info.run_id for run in everything(client) if run.info.run_id != injected]
    ended = client.get_run(own).info.end_time

    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    with RunPublisher("autoencoders") as runs:
        assert runs.log_report(page).result() is False
    assert client.list_artifacts(injected) == []
    assert REPORT not in client.get_run(injected).data.tags
    assert len(everything(client)) == 2
    assert client.get_run(own).info.status == "FINISHED"
    assert client.get_run(own).info.end_time == ended
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    assert client.get_run(own).data.tags[REPORT] == digest[:32]  # by which later versions find it
