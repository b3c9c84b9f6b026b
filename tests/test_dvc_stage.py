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
    deps: [data/prepared, src/autoencoders/training, src/autoencoders/trained.py, "${data.folder}"]
"""
PARAMS_YAML = "data: {name: folder, folder: images}\ntrain: {epochs: 2}\nmodels: {vae: {kind: vae, latent: 2}}\n"
FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": PARAMS_YAML,
    "data/prepared/dataset.json": "{}",
    "src/autoencoders/training/loop.py": "",
    "src/autoencoders/training/__pycache__/loop.pyc": "",
    "src/autoencoders/trained.py": "",
    "src/autoencoders/served.py": "",
    "images/cat/1.png": "",
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Runs `autoencoders check` as though it were the stage `train` of the model `vae`; `meanwhile` happens in it."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@vae")

    def run(meanwhile: Callable[[], object]) -> int:
        def check() -> None:
            """Work."""
            meanwhile()

        monkeypatch.setattr(cli, "stage", lambda name: check)
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
        (write("params.yaml", PARAMS_YAML.replace("epochs: 2", "epochs: 02")), None),
        (write("params.yaml", "{"), "params.yaml: train, params.yaml: models.vae"),
        (write("params.yaml", PARAMS_YAML + "plots: {grid: 9}\n"), None),
        (lambda: Path("params.yaml").unlink(), "params.yaml: train, params.yaml: models.vae"),
        (write("src/autoencoders/training/loop.py", "x = 1"), "src/autoencoders/training"),
        (write("src/autoencoders/training/new.py", ""), "src/autoencoders/training"),
        (write("src/autoencoders/training/__pycache__/loop.pyc", "x"), None),
        (lambda: Path("src/autoencoders/trained.py").unlink(), "src/autoencoders/trained.py"),
        (lambda: os.utime("src/autoencoders/trained.py", (0, 0)), None),
        (write("src/autoencoders/served.py", "x = 1"), None),
        (write("data/prepared/dataset.json", "[]"), "data/prepared"),
        (write("images/cat/2.png", ""), "images"),
        (lambda: Path("images/cat/1.png").rename("images/cat/3.png"), "images"),
        (lambda: None, None),
    ],
)
def test_what_changes_while_a_stage_runs_is_told_and_not_recorded(
    stage: Callable[[Callable[[], object]], int],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[], object],
    said: str | None,
) -> None:
    assert stage(change) == (2 if said else 0)
    error = capsys.readouterr().err
    if said:
        assert error.startswith(f"error: {said} changed while train@vae ran. ")
        assert "`dvc commit -f train@vae`" in error
    else:
        assert error == ""


def test_a_stage_by_hand_may_be_edited_beside(
    stage: Callable[[Callable[[], object]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_STAGE")
    assert stage(write("params.yaml", "{")) == 0
