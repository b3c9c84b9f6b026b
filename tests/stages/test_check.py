import os
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from autoencoders import cli
from autoencoders.data.folder import RESULTS
from autoencoders.errors import UserError
from autoencoders.params import Params, parse_params
from autoencoders.stages.check import check

ROOT = Path(__file__).parents[2]
MODELS = {"a": {"kind": "pca", "latent": 2}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("models"), "params.yaml: models: missing"),
        (lambda raw: raw.update(models={}), "params.yaml: models: Dictionary should have at least 1 item"),
        (lambda raw: raw["models"].update(vae=None), "params.yaml: models.vae: should be a section"),
        (lambda raw: raw["data"].update(folder=None), "params.yaml: data.folder: should be a valid string"),
        (lambda raw: raw["data"].update(name="folder", folder="none"), "data.folder: none does not exist"),
    ],
)
def test_a_mistake_that_dvc_would_stumble_over_is_one_line(tmp_path, monkeypatch, capsys, change, message):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(raw)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(["check"])
    told = capsys.readouterr()
    assert (caught.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(f"error: {message}")


@pytest.mark.parametrize(("options", "names"), [([], ["pipeline", "check"]), (["--out", "checked"], ["check"])])
def test_a_run_is_named_pipeline_only_where_the_check_begins_one(tmp_path, monkeypatch, store, options, names):
    """`mlflow run .` calls `autoencoders check`, and `mlflow run . -e check` calls it with `--out`."""
    given: list[str] = []
    monkeypatch.setattr("autoencoders.stages.check.name_launched", given.append)
    monkeypatch.setattr("autoencoders.tracking.name_launched", given.append)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"data": {"name": "mnist"}, "models": MODELS}))
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", *options])
    assert (caught.value.code, given) == (0, names)


def test_a_pipe_on_which_dvc_would_wait_is_refused(tmp_path, capsys):
    params = parse_params(
        {"data": {"name": "folder", "folder": str(tmp_path)}, "prepare": {"test": 0.4}, "models": MODELS}
    )
    (tmp_path / "deep").mkdir()
    for number in range(5):
        Image.new("L", (8, 6)).save(tmp_path / "deep" / f"{number}.png")
    check(params)
    assert "params.yaml is in order: folder; models a\n" in capsys.readouterr().out
    os.mkfifo(tmp_path / "deep" / "b.txt")
    with pytest.raises(UserError, match=r"deep/b.txt is a link to nothing, a pipe or a socket. Remove it"):
        check(params)


@pytest.mark.parametrize("name", ["a.png", ".hidden.png", "notes.txt"])
def test_a_link_to_nothing_has_to_go_whatever_its_name_as_the_docs_say(tmp_path, name):
    params = parse_params({"data": {"name": "folder", "folder": str(tmp_path)}, "models": MODELS})
    (tmp_path / "picture.png").touch()
    (tmp_path / name).symlink_to("/nowhere")
    with pytest.raises(UserError, match=rf"/{name} is a link to nothing, a pipe or a socket. Remove it"):
        check(params)
    told = " ".join((ROOT / "docs/data.md").read_text(encoding="utf-8").split())
    assert "Links to nothing, pipes and sockets must be removed, whatever their names" in told


def test_the_repository_s_own_params_are_in_order_and_make_run_begins_with_that(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as caught:
        cli.main(["check"])
    assert caught.value.code == 0
    recipe = re.search(r"^run:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe[1].splitlines()[:2] == ["\t@autoencoders check", "\t@dvc repro"]


def test_what_dvc_gets_is_the_same_for_all_parameters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []
    for models in (MODELS, {"b": {"kind": "vae", "latent": 3}}):
        check(parse_params({"models": models}), out=tmp_path / ".cache" / "checked")
        written.append((tmp_path / ".cache" / "checked").read_bytes())
    assert written[0] == written[1]
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no earlier result of this command"):
        check(parse_params({"models": MODELS}), out=tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def own(folder: Path, **prepare: float) -> Params:
    """Settings for the images in `folder`."""
    return parse_params({"data": {"name": "folder", "folder": str(folder)}, "prepare": prepare, "models": MODELS})


def draw(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name)


def test_it_says_which_images_and_how_they_are_split(tmp_path, store, capsys):
    draw(tmp_path / "classes", *(f"{kind}/{number}.png" for kind in "ab" for number in range(20)))
    check(own(tmp_path / "classes", validation=0.25, test=0.2))
    line = "40 images, brought to 6×8 (height × width), colour; 2 classes; train 24, val 8, test 8"
    assert f"{tmp_path}/classes: {line}\n" in capsys.readouterr().out
    draw(tmp_path / "roles", *(f"train/{kind}/{number}.png" for kind in "ab" for number in range(5)))
    draw(tmp_path / "roles", "test/a/1.png", "test/b/1.png", "ground_truth/b/1_mask.png")
    check(own(tmp_path / "roles", validation=0.2))
    assert (
        "12 images, brought to 6×8 (height × width), colour; 2 classes; train 8, val 2, test 2\n"
        "roles of folders: train/ 10 images; val is split off train (prepare.validation); test/ 2 images; "
        "ground_truth/ 1 mask, for 1 of 2 test images\n"
    ) in capsys.readouterr().out


def test_what_prepare_would_refuse_is_refused(tmp_path, store):
    draw(tmp_path, *(f"{number}.png" for number in range(4)))
    with pytest.raises(UserError, match=r"^data.folder: 4 of its images can be read; 5 or more are needed. Add images"):
        check(own(tmp_path))
    draw(tmp_path, "4.png")
    with pytest.raises(UserError, match=r"^prepare.test: 0.15 of 5 images leaves 1 to test on.* such as 0.4"):
        check(own(tmp_path))
    for number in (5, 6):
        Image.new("F", (8, 6)).save(tmp_path / f"{number}.tif")
    with pytest.raises(UserError, match=r"^2 of 7 images .* 5.tif \(floating-point pixels, .* unknown\), 6"):
        check(own(tmp_path))


@pytest.mark.parametrize(
    ("folder", "how", "result"),
    [
        (".", "holds", "data/raw"),
        ("", "holds", "data/raw"),
        ("..", "holds", "data/raw"),
        ("data", "holds", "data/raw"),
        ("data/prepared/train", "is in", "data/prepared"),
        ("models", "is in", "models"),
        ("reports/figures", "is in", "reports"),
        ("linked", "is in", "evaluation"),
    ],
)
def test_folders_that_overlap_with_results_are_refused(tmp_path, monkeypatch, folder, how, result):
    root = tmp_path / "repository"
    for name in ("data/prepared/train", "models", "reports/figures", "evaluation"):
        (root / name).mkdir(parents=True)
    (root / "linked").symlink_to("evaluation")
    monkeypatch.chdir(root)
    with pytest.raises(UserError) as refused:
        check(own(Path(folder)))
    assert str(refused.value) == (
        f"data.folder: {Path(folder)} {how} {result}/, where the pipeline writes. Name a folder of your images alone."
    )


def test_a_folder_beside_the_results_will_do(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "data" / "cats", *(f"{number}.png" for number in range(5)))
    check(own(Path("data/cats"), test=0.4))


def test_all_that_dvc_writes_is_among_the_results():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for out in stage.get("do", stage).get("outs", [])]
    paths = [Path(next(iter(out)) if isinstance(out, dict) else out) for out in outs]
    assert len(paths) > 10
    assert [path for path in paths if not any(path.is_relative_to(result) for result in RESULTS)] == []
