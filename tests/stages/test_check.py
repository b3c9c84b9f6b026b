import os
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from autoencoders import cli
from autoencoders.errors import UserError
from autoencoders.params import parse_params
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
    params = parse_params({"data": {"name": "folder", "folder": str(tmp_path)}, "models": MODELS})
    (tmp_path / "deep").mkdir()
    Image.new("L", (8, 6)).save(tmp_path / "deep" / "a.png")
    check(params)
    assert capsys.readouterr().out.startswith(
        "params.yaml is in order: folder; models a\nimages of 6×8 (height × width)"
    )
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
