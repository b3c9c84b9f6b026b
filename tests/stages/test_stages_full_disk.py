"""A disk that fills up while a stage writes: one line, the results from before whole, and nothing half-written."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trees import tree

from autoencoders.data.card import write_card
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.params import Params, parse_params
from autoencoders.stages.compare import compare
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features
from autoencoders.stages.ladder import ladder
from autoencoders.stages.plots import plots
from autoencoders.stages.train import train


@pytest.fixture
def work(params, prepared, trained, rungs, tmp_path) -> Path:
    """A folder in which every stage has run for the model `vae`."""
    only = params.model_copy(update={"models": {"vae": params.models["vae"]}})
    features(only, data=prepared, out=tmp_path / "features")
    (tmp_path / "card").mkdir()
    write_card(tmp_path / "card", PreparedData(prepared), seed=0, remarks={})
    stages(only, prepared, tmp_path)["evaluate"]()
    for name in ("compare", "plots", "ladder"):
        stages(only, prepared, tmp_path)[name]()
    return tmp_path


def stages(params: Params, prepared: Path, work: Path) -> dict[str, Callable[[], None]]:
    models, measured = work / "models", work / "evaluation"
    read = {"data": prepared, "models": models, "evaluation": measured}
    short = params.model_copy(update={"ladder": parse_params({**RUNG, "models": MODELS}).ladder})
    return {
        "features": lambda: features(params, data=prepared, out=work / "features"),
        "train": lambda: train(
            params, model="vae", data=prepared, checkpoints=work / "checkpoints", out=models / "vae"
        ),
        "evaluate": lambda: evaluate(
            params, model=models / "vae", data=prepared, features=work / "features", out=measured / "vae"
        ),
        "compare": lambda: compare(params, models=models, evaluation=measured, out=work / "comparison"),
        "plots": lambda: plots(
            params, **read, card=work / "card", ladder=work / "ladder", out=work / "figures", curves=work / "curves"
        ),
        "ladder": lambda: ladder(short, "one-image", **read, out=work / "rung"),
    }


MODELS = {"vae": {"kind": "vae", "latent": 2}}
RUNG = {"ladder": {"one_image": {"networks": [[2, 2]], "steps": 10}}}
LAST = {
    "features": "features.json",
    "train": "weights.safetensors",
    "evaluate": "metrics.json",
    "compare": "comparison.txt",
    "plots": "samples.png",
    "ladder": "rung.json",
}
"""A file of each stage that no longer fits."""


def fill_the_disk_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        if path.name == name and "w" in mode:
            opened(path, "wb").write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *arguments, **options)

    def unsaved(figure: object, path: Path) -> None:
        with path.open("wb"):
            pass

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr("autoencoders.stages.plots.save", unsaved)


@pytest.mark.parametrize("stage", LAST)
def test_a_full_disk_leaves_the_results_from_before(work, params, prepared, monkeypatch, stage):
    before = tree(work)
    only = params.model_copy(update={"models": {"vae": params.models["vae"]}})
    fill_the_disk_at(LAST[stage], monkeypatch)
    with pytest.raises(UserError, match=r"^No space left on the disk that holds .*; nothing was left half-written"):
        stages(only, prepared, work)[stage]()
    of_mlflow = ("mlflow.db", "mlartifacts")
    after = {path: content for path, content in tree(work).items() if not path.startswith((*of_mlflow, "checkpoints"))}
    assert after == {path: content for path, content in before.items() if not path.startswith(of_mlflow)}
    if stage == "train":  # it goes on from its last checkpoint
        assert [path.suffix for path in (work / "checkpoints" / "vae").glob("*.p*")] == [".pt"]


def test_results_never_replace_a_folder_that_holds_others(work, params, prepared):
    before = tree(work / "models")
    with pytest.raises(UserError, match=r"models holds ae/history.csv, which is no part of the results"):
        train(params, model="vae", data=prepared, checkpoints=work / "checkpoints", out=work / "models")
    assert tree(work / "models") == before
    shutil.rmtree(work / "comparison")
    (work / "comparison").write_text("a file")
    with pytest.raises(UserError, match=r"comparison is a file. Name a folder"):
        compare(
            params.model_copy(update={"models": {"vae": params.models["vae"]}}),
            models=work / "models", evaluation=work / "evaluation", out=work / "comparison",
        )  # fmt: skip
    assert (work / "comparison").read_text() == "a file"
    assert not [path for path in work.iterdir() if path.name.startswith(".comparison")]


def test_numbers_that_no_longer_fit_are_reported_as_well(work, params, prepared, monkeypatch):
    """numpy's writing says only how many items it could not write."""

    def full(*arguments: object) -> None:
        raise OSError("40 requested and 12 written")

    before = tree(work / "evaluation")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="No space left on the disk"):
        stages(params, prepared, work)["evaluate"]()
    assert tree(work / "evaluation") == before
