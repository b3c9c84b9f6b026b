"""What a stage began with is what DVC records, or DVC records nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoencoders import cli

DVC_YAML = """
stages:
  train:
    matrix: {model: "${models}"}
    params: [train, "models.${item.model}"]
    deps: [data/prepared, src/autoencoders/training, src/autoencoders/model_folder.py, "${data.folder}"]
"""
PARAMS_YAML = "data: {name: folder, folder: images}\ntrain: {steps: 2}\nmodels: {vae: {kind: vae, latent: 2}}\n"
FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": PARAMS_YAML,
    "data/prepared/dataset.json": "{}",
    "src/autoencoders/training/loop.py": "",
    "src/autoencoders/training/__pycache__/loop.pyc": "",
    "src/autoencoders/model_folder.py": "",
    "src/autoencoders/pyfunc.py": "",
    "images/cat/1.png": "",
}


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Callable[[Callable[[], object]], int]:
    """Run `autoencoders check` as though it were the stage `train` of the model `vae`; `meanwhile` happens in it."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@vae")

    def run(meanwhile: Callable[[], object]) -> int:
        def check() -> None:
            """Work."""
            meanwhile()

        monkeypatch.setattr(cli, "find_command", lambda name: check)
        with pytest.raises(SystemExit) as ended:
            cli.main(["check"])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def write(name: str, content: str) -> Callable[[], object]:
    def change() -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (write("params.yaml", PARAMS_YAML.replace("latent: 2", "latent: 3")), "params.yaml: models.vae"),
        (write("params.yaml", PARAMS_YAML.replace("vae: {", "ae: {")), "params.yaml: models.vae"),
        (write("params.yaml", PARAMS_YAML.replace("steps: 2", "steps: 02")), None),
        (write("params.yaml", "{"), "params.yaml: train, params.yaml: models.vae"),
        (write("params.yaml", PARAMS_YAML + "plots: {grid: 9}\n"), None),
        (lambda: Path("params.yaml").unlink(), "params.yaml: train, params.yaml: models.vae"),
        (write("src/autoencoders/training/loop.py", "x = 1"), "src/autoencoders/training"),
        (write("src/autoencoders/training/new.py", ""), "src/autoencoders/training"),
        (write("src/autoencoders/training/__pycache__/loop.pyc", "x"), None),
        (lambda: Path("src/autoencoders/model_folder.py").unlink(), "src/autoencoders/model_folder.py"),
        (lambda: os.utime("src/autoencoders/model_folder.py", (0, 0)), None),
        (write("src/autoencoders/pyfunc.py", "x = 1"), None),
        (write("data/prepared/dataset.json", "[]"), "data/prepared"),
        (write("images/cat/2.png", ""), "images"),
        (lambda: Path("images/cat/1.png").rename("images/cat/3.png"), "images"),
        (lambda: None, None),
    ],
)
def test_what_changes_while_a_stage_runs_is_reported_and_not_recorded(stage, capsys, change, said):
    assert stage(change) == (2 if said else 0)
    error = capsys.readouterr().err
    if said:
        assert error.startswith(f"error: {said} changed while train@vae ran. ")
        assert "`dvc commit -f train@vae`" in error
    else:
        assert error == ""


def test_a_stage_by_hand_may_be_edited_beside(stage, monkeypatch):
    monkeypatch.delenv("DVC_STAGE")
    assert stage(write("params.yaml", "{")) == 0


def test_a_model_taken_out_of_params_yaml_is_no_part_of_what_dvc_records(stage, monkeypatch, capsys):
    Path("dvc.yaml").write_text("stages: {plots: {params: [models], deps: [models, evaluation]}}")
    for name in (
        "models/vae/model.json",
        "models/ae/model.json",
        "models/ae/weights.safetensors",
        "models/notes/a.txt",
    ):
        write_beneath(name)
    for name in ("evaluation/vae/metrics.json", "evaluation/ae/metrics.json", "evaluation/ae/codes/test.npy"):
        write_beneath(name)
    write_beneath(".cache/unlisted/models/ae/history.csv")  # of the time before
    monkeypatch.setenv("DVC_STAGE", "plots")
    assert stage(lambda: None) == 0
    assert sorted(path.name for path in Path("models").iterdir()) == ["notes", "vae"]
    assert [path.name for path in Path("evaluation").iterdir()] == ["vae"]
    kept = sorted(path.as_posix() for path in Path(".cache/unlisted").rglob("*") if path.is_file())
    assert kept == [
        f".cache/unlisted/{name}"
        for name in (
            "evaluation/ae/codes/test.npy", "evaluation/ae/metrics.json", "models/ae/model.json",
            "models/ae/weights.safetensors",
        )
    ]  # fmt: skip
    said = capsys.readouterr()
    assert said.err == ""
    assert "params.yaml has no model ae: models/ae is now .cache/unlisted/models/ae\n" in said.out


def test_nothing_is_moved_where_params_yaml_cannot_be_read(stage, monkeypatch):
    Path("dvc.yaml").write_text("stages: {plots: {params: [models], deps: [models, evaluation]}}")
    Path("params.yaml").write_text("models: {")
    write_beneath("models/ae/model.json")
    monkeypatch.setenv("DVC_STAGE", "plots")
    stage(lambda: None)
    assert Path("models/ae/model.json").exists()
    assert not Path(".cache/unlisted").exists()


def write_beneath(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("{}")


def test_what_each_rung_depends_on_is_filled_in(stage, monkeypatch):
    """A stage `foreach` of several names, each with its value: another rung's module may change meanwhile."""
    each = "foreach: {one-hot: one_hot, beta: beta}"
    do = 'do: {params: ["ladder.${item}"], deps: ["src/ladder/${item}/measure.py"], outs: ["reports/${key}"]}'
    Path("dvc.yaml").write_text(f"stages:\n  ladder:\n    {each}\n    {do}\n")
    monkeypatch.setenv("DVC_STAGE", "ladder@one-hot")
    Path("src/ladder/one_hot").mkdir(parents=True)
    Path("src/ladder/beta").mkdir()
    assert stage(lambda: Path("src/ladder/beta/measure.py").write_text("other")) == 0
    assert stage(lambda: Path("src/ladder/one_hot/measure.py").write_text("other")) == 2
