"""A slip in an option costs nothing: results take the place of nothing but earlier results of the same command."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from autoencoders.errors import UserError
from autoencoders.ladder.record import RUNGS
from autoencoders.params import Params, parse_params
from autoencoders.stages.compare import compare
from autoencoders.stages.download import download
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features
from autoencoders.stages.ladder import ladder
from autoencoders.stages.plots import plots
from autoencoders.stages.prepare import prepare
from autoencoders.stages.report import report
from autoencoders.stages.train import train

DATA = {"name": "folder", "folder": "nowhere"}
PARAMS = parse_params({"data": DATA, "models": {"vae": {"kind": "vae", "latent": 2}}})
NOWHERE = Path("nowhere")
Command = Callable[[Params], object]


def commands(out: Path) -> dict[str, Command]:
    """Each command that replaces a folder, with that folder at `out`; what it reads is not there."""
    inputs = {"data": NOWHERE, "models": NOWHERE, "evaluation": NOWHERE}
    return {
        "download": partial(download, out=out),
        "prepare": partial(prepare, raw=NOWHERE, out=out, card=Path("card")),
        "prepare card": partial(prepare, raw=NOWHERE, out=Path("prepared"), card=out),
        "features": partial(features, data=NOWHERE, out=out),
        "train": partial(train, model="vae", data=NOWHERE, checkpoints=Path("checkpoints"), out=out),
        "evaluate": partial(evaluate, model=NOWHERE, data=NOWHERE, features=NOWHERE, out=out),
        "plots": partial(plots, **inputs, card=NOWHERE, ladder=NOWHERE, out=out, curves=Path("curves")),
        "plots curves": partial(plots, **inputs, card=NOWHERE, ladder=NOWHERE, out=Path("figures"), curves=out),
        "compare": partial(compare, models=NOWHERE, evaluation=NOWHERE, out=out),
        **{rung: partial(ladder, rung=rung, **inputs, out=out) for rung in RUNGS},
    }


RAW = json.dumps({"name": "mnist", "files": [{"path": "MNIST/raw/t10k-labels-idx1-ubyte.gz"}]})
RESULTS = {
    "download": {"data/raw/source.json": RAW, "data/raw/MNIST/raw/t10k-labels-idx1-ubyte.gz": ""},
    "prepare": {"data/prepared/dataset.json": "", "data/prepared/val/images.npy": ""},
    "prepare card": dict.fromkeys([f"reports/data/data_card.{ending}" for ending in ("png", "json", "npz")], ""),
    "features": {"data/features/features.json": "", "data/features/weights.safetensors": ""},
    "train": {"models/vae/model.json": '{"name": "vae"}', "models/vae/weights.safetensors": ""},
    "evaluate": {"evaluation/vae/metrics.json": "", "evaluation/vae/codes/test.npy": ""},
    "plots": {
        "reports/figures/kl.png": "",
        "reports/figures/data_card.png": "",
        "reports/figures/prediction--vae.png": "",
        "reports/figures/ladder/beta.png": "",
    },
    "plots curves": {"reports/curves/kl.csv": "", "reports/curves/loss.csv": ""},
    "compare": {"reports/comparison/comparison.csv": ""},
    **{rung: {f"reports/ladder/{rung}/rung.json": json.dumps({"format": 3, "name": rung})} for rung in RUNGS},
}
"""What each command leaves, at the place that dvc.yaml gives it."""
OTHERS = {
    "images/cat/1.png": "",
    "params.yaml": "",
    ".git/config": "",
    "photos/kl.jpg": "",
    "linked/1.png": "",
    "empty/.keep": "",
    "checkpoints/ae/last.pt": "",
}
PLACES = [
    ".",
    "..",
    "data",
    "models",
    "evaluation",
    "reports",
    "reports/ladder",
    "images",
    "photos",
    "link",
    "/",
    "empty",
]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project in which everything has run, with some files of the user's, by names alone."""
    root = tmp_path / "project"
    for name, content in {
        **OTHERS,
        **{name: text for results in RESULTS.values() for name, text in results.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "link").symlink_to(root / "linked")
    monkeypatch.chdir(root)
    return root


def tree(folder: Path) -> list[str]:
    return sorted(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}" for path in folder.rglob("*"))


@pytest.mark.parametrize("command", RESULTS)
def test_a_folder_of_anything_else_is_refused_before_anything_is_done(project, command):
    before = tree(project)
    own = Path(next(iter(RESULTS[command]))).parts[:-1]
    elsewhere = {"/".join(Path(name).parts[:-1]) for results in RESULTS.values() for name in results} - {"/".join(own)}
    for place in [*PLACES, *elsewhere]:
        if Path(*own) in (Path(place), *Path(place).parents):  # such as codes/ in an evaluation's folder
            continue
        with pytest.raises(UserError, match=r" Name (another|two) ") as caught:
            commands(Path(place))[command](PARAMS)
        assert place in str(caught.value)
        assert "\n" not in str(caught.value)
    assert tree(project) == before


@pytest.mark.parametrize("place", ["params.yaml", "images/cat/1.png", "models", "photos/kl.jpg"])
def test_the_page_takes_the_place_of_no_other_file(project, place):
    before = tree(project)
    folders = dict.fromkeys(("data", "models", "evaluation", "figures", "comparison", "ladder"), NOWHERE)
    with pytest.raises(UserError, match=rf"^{place} is .* Name (another|a) file with --out"):
        report(PARAMS, **folders, out=Path(place))
    assert tree(project) == before


@pytest.mark.parametrize("command", RESULTS)
def test_earlier_results_and_what_file_managers_leave_are_no_hindrance(project, command):
    own = Path(next(iter(RESULTS[command]))).parts[:-1]
    (project.joinpath(*own) / ".DS_Store").write_text("")
    with pytest.raises(UserError) as caught:  # it gets as far as what it reads, which is not there
        commands(Path(*own))[command](PARAMS)
    assert "Name another" not in str(caught.value)


def test_a_folder_that_has_one_file_more_is_refused(project):
    (project / "models/vae/notes.txt").write_text("learned with the old camera")
    with pytest.raises(UserError, match=r"models/vae holds notes\.txt, which is no part of the results"):
        commands(Path("models/vae"))["train"](PARAMS)
    assert (project / "models/vae/notes.txt").read_text() == "learned with the old camera"


def test_results_and_card_in_one_folder_are_refused(project):
    with pytest.raises(UserError, match=r"new/card is new, or within it\. Name two folders that are apart"):
        prepare(PARAMS, raw=Path("data/raw"), out=Path("new"), card=Path("new/card"))
    with pytest.raises(UserError, match="Name two folders that are apart"):
        prepare(PARAMS, raw=Path("data/raw"), out=Path("data/raw"), card=Path("card"))
    with pytest.raises(UserError, match="Name two folders that are apart"):
        train(PARAMS, model="vae", data=NOWHERE, checkpoints=Path("models"), out=Path("models/vae"))
