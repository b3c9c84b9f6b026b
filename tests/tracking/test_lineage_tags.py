"""Tags that tie a run to what it came from; what they tell of a model is a command, tested with the others."""

import subprocess

from tracked import reference, run_in

from autoencoders.data.prepared import PreparedData
from autoencoders.tracking.lineage import _commit, params_hash


def test_tags_tie_a_run_to_the_commit_the_stage_and_the_inputs(train_model, prepared, client, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    monkeypatch.setenv("KFP_RUN_ID", "kfp-1")
    folder = train_model("ae")
    tags = run_in(client, folder).data.tags
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert tags["git_commit"] == tags["mlflow.source.git.commit"] == head
    assert tags["git_dirty"] in ("true", "false")
    assert (tags["dvc_stage"], tags["kfp_run"]) == ("train@ae", "kfp-1")
    assert tags["data_hash"] == PreparedData(prepared).info.content_hash
    assert tags.items() >= reference(folder)["tags"].items()


def test_git_dirty_means_changed_code_not_files_that_the_pipeline_rewrites(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert _commit() == ("", "false")
    monkeypatch.setenv("GIT_COMMIT", "abc")  # as an image without git says it
    assert _commit() == ("abc", "false")
    (tmp_path / "sub").mkdir()
    (tmp_path / "evaluation" / "vae").mkdir(parents=True)
    for name in ("dvc.lock", "evaluation/vae/metrics.json", "code.py"):
        (tmp_path / name).write_text("1")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "1"]):
        subprocess.run(["git", *command], check=True)
    for name in ("dvc.lock", "evaluation/vae/metrics.json"):
        (tmp_path / name).write_text("2")
    monkeypatch.chdir(tmp_path / "sub")
    assert _commit()[1] == "false"
    (tmp_path / "code.py").write_text("2")
    assert _commit()[1] == "true"


def test_the_params_hash_is_of_this_model_and_its_training_alone():
    recorded = {"model": {"latent": 2}, "train": {"steps": 1}, "hardware": "cpu"}
    assert params_hash(recorded) == params_hash({**recorded, "hardware": "cuda"})
    assert params_hash(recorded) != params_hash({**recorded, "train": {"steps": 2}})
