"""The commands from end to end: files in, files and a table out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from calling import COUNT, names, read
from PIL import Image
from processes import run_python

from autoencoders.commands.codes import read_codes
from autoencoders.data.prepared import PreparedData
from autoencoders.inference import TrainedModel, load_model
from autoencoders.plots import sheets

KINDS = ("pca", "ae", "vae")


def as_pixels(images: torch.Tensor) -> np.ndarray:
    return (images[:, 0] * 255).round().byte().numpy()


def floats(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).float() / 255


def edit(folder: Path, **changes: object) -> None:
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_codes_are_the_reconstructions(run, trained, pictures, pixels, tmp_path, kind):
    done = run("encode", "--model", trained / kind, pictures, "--out", "codes.npz")
    assert (done.code, done.out) == (0, f"codes.npz: 6 codes of 2 numbers, by {kind}\n")
    model = load_model(trained / kind)
    stored = read_codes(tmp_path / "codes.npz", kind, model.weights_sha256)
    torch.testing.assert_close(torch.from_numpy(stored.z), model.encode(floats(pixels)))
    assert [Path(name).name for name in stored.files] == [f"number-{i}.png" for i in range(COUNT)]

    done = run("decode", "codes.npz", "--model", trained / kind, "--out", "decoded")
    assert (done.code, done.out) == (0, "decoded: 6 images and overview.png\n")
    singles = [f"{i}-{'a' if i < 3 else 'b'}-number-{i}.png" for i in range(COUNT)]
    assert names(tmp_path / "decoded") == [*singles, "overview.png", "pictures.csv"]
    table = pd.read_csv(tmp_path / "decoded" / "pictures.csv")
    assert dict(zip(table["picture"], table["image"], strict=True)) == dict(zip(singles, stored.files, strict=True))
    expected = as_pixels(model.reconstruct(floats(pixels)))
    found = np.stack([read(tmp_path / "decoded" / name) for name in singles])
    assert np.abs(found.astype(int) - expected).max() <= 1  # a grey level, where rounding meets rounding

    done = run("reconstruct", pictures, "--model", trained / kind, "--out", "redrawn")
    assert (done.code, done.out) == (0, f"redrawn: 6 reconstructions by {kind} and overview.png\n")
    for name in singles:
        np.testing.assert_array_equal(read(tmp_path / "redrawn" / name), read(tmp_path / "decoded" / name))
    assert pd.read_csv(tmp_path / "redrawn" / "pictures.csv").equals(table)


def test_reconstructions_keep_their_names_over_several_blocks(run, trained, pictures, tmp_path, monkeypatch):
    assert run("reconstruct", pictures, "--model", trained / "vae", "--out", "whole").code == 0
    monkeypatch.setattr("autoencoders.data.pictures.EVAL_BATCH", 4)
    assert run("reconstruct", pictures, "--model", trained / "vae", "--out", "parts").code == 0
    assert names(tmp_path / "parts") == names(tmp_path / "whole")
    for name in names(tmp_path / "parts")[:-2]:
        np.testing.assert_array_equal(read(tmp_path / "parts" / name), read(tmp_path / "whole" / name))


def test_samples_follow_the_seed(run, trained, tmp_path):
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = run("sample", "--model", trained / "vae", "--n", 12, "--seed", seed, "--out", out)
        assert (done.code, done.out) == (0, f"{out}: 12 samples of vae, seed {seed}, and overview.png\n")
    assert names(tmp_path / "a") == [*(f"{i:02}.png" for i in range(12)), "overview.png"]
    drawn = {out: np.stack([read(tmp_path / out / f"{i:02}.png") for i in range(12)]) for out in "abc"}
    expected = load_model(trained / "vae").sample(12, torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(drawn["a"], as_pixels(expected))
    np.testing.assert_array_equal(drawn["a"], drawn["b"])
    assert (drawn["a"] != drawn["c"]).any()


def test_samples_beyond_a_block_are_those_of_one_call(run, trained, tmp_path, monkeypatch):
    for module in ("inference", "commands.sample"):
        monkeypatch.setattr(f"autoencoders.{module}.EVAL_BATCH", 5)
    asked: list[int] = []
    sample = TrainedModel.sample
    monkeypatch.setattr(
        TrainedModel, "sample", lambda self, n, generator: asked.append(n) or sample(self, n, generator)
    )
    assert run("sample", "--model", trained / "vae", "--n", 12, "--out", "out").code == 0
    assert asked == [5, 5, 2]
    expected = sample(load_model(trained / "vae"), 12, torch.Generator().manual_seed(0))
    found = np.stack([read(tmp_path / "out" / f"{i:02}.png") for i in range(12)])
    np.testing.assert_array_equal(found, as_pixels(expected))


def test_an_interpolation_begins_and_ends_with_the_reconstructions(run, trained, pictures, pixels, tmp_path):
    a, b = pictures / "a" / "number-0.png", pictures / "b" / "number-4.png"
    done = run("interpolate", a, b, "--model", trained / "vae", "--steps", 5, "--out", "line")
    assert (done.code, done.out) == (0, "line: 5 images from number-0.png to number-4.png by vae, and overview.png\n")
    assert names(tmp_path / "line") == [*(f"{i}.png" for i in range(5)), "overview.png"]
    expected = as_pixels(load_model(trained / "vae").interpolate(*floats(pixels[[0, 4]]), steps=5))
    found = np.stack([read(tmp_path / "line" / f"{i}.png") for i in range(5)])
    np.testing.assert_array_equal(found, expected)


def test_an_interpolation_of_a_folder_is_refused_with_what_it_takes(run, trained, pictures):
    done = run("interpolate", pictures, pictures / "b" / "number-4.png", "--model", trained / "vae", "--out", "line")
    assert done.code == 2
    assert done.err == f"error: {pictures} cannot be read (not a regular file). Name an image file.\n"


@pytest.mark.parametrize("kind", ["pca", "vae"])
def test_a_test_image_is_its_own_nearest_neighbour(run, trained, prepared, pictures, tmp_path, kind):
    shared = ("--model", trained / kind, "--data", prepared, "--count", 3)
    done = run("neighbours", pictures, *shared, "--out", "near")
    assert done.code == 0
    table = pd.read_csv(tmp_path / "near" / "neighbours.csv")
    assert table.columns.tolist() == ["image", "rank", "test_index", "class", "distance"]
    assert len(table) == 3 * COUNT
    first = table[table["rank"] == 1]
    assert first["distance"].tolist() == pytest.approx([0] * COUNT, abs=1e-6)
    assert first["test_index"].tolist() == list(range(COUNT))
    labels = PreparedData(prepared).split("test").labels
    assert table["class"].tolist() == [("left", "middle", "right")[labels[i]] for i in table["test_index"]]
    assert table.groupby("image")["distance"].apply(lambda far: far.is_monotonic_increasing).all()
    assert names(tmp_path / "near") == ["neighbours.csv", "overview.png"]
    lines = done.out.splitlines()
    assert len(lines) == 2 + COUNT + 2
    assert "number-2.png" in lines[4]
    assert f"{('left', 'middle', 'right')[labels[2]]} 0.00 #2" in lines[4]
    assert run("neighbours", pictures, *shared).out.splitlines() == lines[:-1]
    records = json.loads(run("neighbours", pictures, *shared, "--json").out)
    pd.testing.assert_frame_equal(pd.DataFrame(records), table, rtol=1e-6)


@pytest.mark.parametrize("command", ["encode", "reconstruct", "sample", "interpolate", "neighbours", "anomalies"])
def test_every_use_computes_where_it_is_told(run, trained, prepared, pictures, command):
    file = pictures / "a" / "number-0.png"
    more = {"neighbours": ["--data", prepared], "sample": ["--n", 2]}.get(command, [])
    given = {"sample": [], "interpolate": [file, file]}.get(command, [file])
    shared = (command, *given, "--model", trained / "vae", *more)
    assert run(*shared, "--device", "cpu", "--out", "out").code == 0
    done = run(*shared, "--device", "gpu", "--out", "other")
    assert (done.code, done.err) == (2, "error: device: expected auto, cpu, cuda or cuda:N, found 'gpu'.\n")


def test_neighbours_in_a_set_without_labels(run, trained, prepared, pictures, tmp_path):
    from autoencoders.data.prepared import Split, write_prepared

    splits = {name: Split(PreparedData(prepared).split(name).images, None) for name in ("train", "val", "test")}
    write_prepared(tmp_path / "bare", "tiny", splits, None)
    done = run("neighbours", pictures, "--model", trained / "ae", "--data", "bare", "--out", "near")
    assert done.code == 0
    assert "class" not in done.out
    assert pd.read_csv(tmp_path / "near" / "neighbours.csv")["class"].isna().all()


def test_neighbours_among_images_of_another_size_are_refused(run, trained, prepared, pictures, tmp_path):
    from autoencoders.data.prepared import Split, write_prepared

    wide = np.zeros((4, 1, 8, 9), np.uint8)
    write_prepared(tmp_path / "wide", "wide", dict.fromkeys(("train", "val", "test"), Split(wide, None)), None)
    done = run("neighbours", pictures, "--model", trained / "ae", "--data", "wide")
    assert (done.code, done.err) == (2, "error: wide holds images (1, 8, 9), ae takes (1, 8, 8).\n")
    done = run("neighbours", pictures, "--model", trained / "ae", "--data", prepared, "--count", 21)
    assert (done.code, done.err) == (2, "error: neighbours: expected a count from 1 to 20 (the codes), found 21.\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_image_ranks_first_and_is_flagged(run, trained, pictures, tmp_path, kind):
    board = 255 * ((np.arange(8)[:, None] + np.arange(8)) % 2)
    Image.fromarray(board.astype(np.uint8)).save(pictures / "board.png")
    done = run("anomalies", pictures, "--model", trained / kind, "--out", "odd")
    assert done.code == 0
    assert names(tmp_path / "odd") == ["anomalies.csv", "overview.png"]
    table = pd.read_csv(tmp_path / "odd" / "anomalies.csv")
    model = load_model(trained / kind)
    scores = ["mse", "neg_elbo"] if kind == "vae" else ["mse"]
    assert table.columns.tolist() == ["image", *(column for name in scores for column in (name, f"{name}_flagged"))]
    assert len(table) == COUNT + 1
    assert table["image"][0].endswith("board.png")
    assert table[scores[0]].is_monotonic_decreasing
    for name in scores:
        assert table[f"{name}_flagged"].tolist() == (table[name] > model.thresholds[name]).tolist()
        assert table[f"{name}_flagged"][0]
    lines = done.out.splitlines()
    assert lines[0].split() == ["image", *({"neg_elbo": "−ELBO", "mse": "MSE"}[name] for name in scores)]
    assert lines[2].count("*") == len(scores)
    assert "99 % of its validation images are below it" in done.out
    assert lines[-1] == "odd: anomalies.csv and overview.png"
    assert run("anomalies", pictures, "--model", trained / kind).out.splitlines() == lines[:-1]
    records = json.loads(run("anomalies", pictures, "--model", trained / kind, "--json").out)
    pd.testing.assert_frame_equal(pd.DataFrame(records), table, rtol=1e-6)


def test_the_strangest_images_are_drawn_whatever_block_they_are_in(run, trained, pictures, tmp_path, monkeypatch):
    drawn = []

    def strangest(originals, reconstructions, captions, name, threshold):
        drawn.append((originals, reconstructions, captions))
        return sheets.strangest(originals, reconstructions, captions, name, threshold)

    monkeypatch.setattr("autoencoders.commands.anomalies.strangest", strangest)
    monkeypatch.setattr("autoencoders.commands.anomalies.MAX_STRANGE", 3)
    for out, block in (("whole", 1000), ("parts", 2)):
        monkeypatch.setattr("autoencoders.data.pictures.EVAL_BATCH", block)
        assert run("anomalies", pictures, "--model", trained / "vae", "--out", out).code == 0
    (originals, reconstructions, captions), parts = drawn
    table, model = pd.read_csv(tmp_path / "whole" / "anomalies.csv")[:3], load_model(trained / "vae")
    np.testing.assert_array_equal(originals, model.read_images(table["image"]).numpy())
    np.testing.assert_allclose(((originals - reconstructions) ** 2).mean((1, 2, 3)), table["mse"], rtol=1e-4)
    assert [name for name, _ in captions] == [Path(name).name for name in table["image"]]
    np.testing.assert_array_equal(originals, parts[0])
    assert captions == parts[2]


def test_a_long_list_is_cut_short_on_the_terminal(run, trained, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("autoencoders.commands.anomalies.MAX_LINES", 2)
    done = run("anomalies", pictures, "--model", trained / "vae", "--out", "all")
    assert len([line for line in done.out.splitlines() if "number-" in line]) == 2
    assert "… and 4 more\n" in done.out
    assert len(pd.read_csv(tmp_path / "all" / "anomalies.csv")) == COUNT


def test_a_model_of_a_folder_s_images_takes_any_size(run, trained, tmp_path):
    edit(trained / "vae", dataset={"name": "folder", "content_hash": "00"})
    Image.fromarray(np.full((30, 20, 3), 77, np.uint8)).save(tmp_path / "photo.jpg")
    assert run("reconstruct", "photo.jpg", "--model", trained / "vae", "--out", "out").code == 0
    assert read(tmp_path / "out" / "0-photo.png").shape == (8, 8)


# Bad input: one line, exit code 2, nothing written


def images_that_are_none(folder: Path) -> None:
    (folder / "empty").mkdir()
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(folder / "wide.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "colour.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "error: empty holds no images."),
        ("none.png", "error: none.png does not exist."),
        ("wide.png", "error: wide.png is 8×9 (height × width) with 1 channel; the model takes 8×8"),
        ("colour.png", "error: colour.png is 8×8 (height × width) with 3 channels; the model takes 8×8"),
        ("broken.png", "error: broken.png cannot be read ("),
    ],
)
@pytest.mark.parametrize("command", ["encode", "reconstruct", "interpolate", "neighbours", "anomalies"])
def test_bad_images(run, trained, prepared, pictures, tmp_path, command, name, message):
    if command == "interpolate" and name == "empty":
        pytest.skip("takes two files")
    images_that_are_none(tmp_path)
    good = pictures / "a" / "number-0.png"
    more = ["--data", prepared] if command == "neighbours" else []
    before = set(tmp_path.iterdir())
    done = run(command, good, name, "--model", trained / "vae", "--out", "out", *more)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert set(tmp_path.iterdir()) == before


def test_codes_of_another_model_and_files_of_another_kind(run, trained, pictures, tmp_path):
    run("encode", pictures, "--model", trained / "ae", "--out", "codes.npz")
    done = run("decode", "codes.npz", "--model", trained / "vae", "--out", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "codes.npz holds codes by other weights (ae, " in done.err
    done = run("decode", pictures / "a" / "number-0.png", "--model", trained / "vae", "--out", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "number-0.png is missing or damaged (File is not a zip file)" in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_left_alone(run, trained, pictures):
    done = run("sample", "--model", trained / "vae", "--out", pictures)
    assert (done.code, done.err) == (
        2, f"error: {pictures} exists already. Name another folder with --out, or remove it.\n",
    )  # fmt: skip
    assert names(pictures) == ["a", "b"]


@pytest.mark.parametrize(
    ("n", "seed", "message"),
    [
        (0, 0, "--n must be from 1 to 100,000, found 0."),
        (10**12, 0, "--n must be from 1 to 100,000, found 1000000000000."),
        (1, -1, "--seed must be from 0"),
    ],
)
def test_counts_and_seeds_out_of_range(run, trained, n, seed, message):
    done = run("sample", "--model", trained / "vae", "--n", n, f"--seed={seed}", "--out", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


@pytest.mark.parametrize("steps", [1, 201, 10**12])
def test_steps_out_of_range(run, trained, pictures, steps):
    ends = (pictures / "a" / "number-0.png", pictures / "b" / "number-4.png")
    done = run("interpolate", *ends, "--model", trained / "vae", "--steps", steps, "--out", "line")
    assert (done.code, done.err) == (2, f"error: --steps must be from 2 to 200, found {steps}.\n")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "neighbours", "anomalies"])
def test_all_broken_files_of_a_folder_are_named_and_nothing_is_written(
    run, trained, prepared, pictures, tmp_path, command
):
    (pictures / "a" / "number-1.png").write_bytes(b"")
    (pictures / "b" / "number-4.png").write_bytes((pictures / "b" / "number-4.png").read_bytes()[:40])
    more = ["--data", prepared] if command == "neighbours" else []
    before = set(tmp_path.iterdir())
    done = run(command, pictures, "--model", trained / "vae", "--out", "out", *more)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "2 of 6 images cannot be used" in done.err
    assert "a/number-1.png cannot be read (" in done.err
    assert "b/number-4.png cannot be read (" in done.err
    assert set(tmp_path.iterdir()) == before


STEERING = "\x1b]0;owned\x07\x1b[2J\n\u202e\x9b"


@pytest.mark.parametrize("command", ["encode", "reconstruct", "neighbours", "anomalies", "interpolate"])
@pytest.mark.parametrize("broken", [False, True])
def test_what_steers_a_terminal_is_shown_and_not_sent(run, trained, prepared, pictures, command, broken):
    """In names of files and of folders, in tables and in messages."""
    shutil.copytree(pictures / "a", pictures / f"f{STEERING}")
    file = Path(shutil.copy(pictures / "a" / "number-0.png", pictures / f"f{STEERING}" / f"i{STEERING}.png"))
    if broken:
        file.write_bytes(b"")
    more = ["--data", prepared] if command == "neighbours" else []
    given = [file, file] if command == "interpolate" else [file.parent]
    done = run(command, *given, "--model", trained / "vae", "--out", f"o{STEERING}", *more)
    assert done.code == (2 if broken else 0)
    shown = (done.err if broken else done.out).splitlines()
    assert any(r"\x1b]0;owned\x07\x1b[2J\n\u202e\x9b" in line for line in shown)
    assert not set(STEERING) - {"\n", *"]0;owned[2J"} & set(done.out + done.err)
    if broken:
        assert len(shown) == 1


def test_a_damaged_model_steers_no_terminal(run, trained, pictures):
    for name, value in (("name", STEERING), (STEERING, STEERING), ("hardware", STEERING)):
        shutil.copytree(trained / "vae", trained / "x", dirs_exist_ok=True)
        edit(trained / "x", **{name: value}, shape=0 if name == STEERING else [1, 8, 8])
        done = run("encode", pictures, "--model", trained / "x", "--out", "codes.npz")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "\x1b" not in done.err


def test_a_model_in_a_folder_needs_no_mlflow_and_no_params_yaml(trained, pictures, tmp_path):
    code = (
        "import sys; from autoencoders.cli import main\n"
        "try: main(sys.argv[1:])\nfinally: print({'mlflow', 'dvc'} & set(sys.modules))"
    )
    arguments = ["encode", str(pictures), "--model", str(trained / "vae"), "--out", "codes.npz"]
    (tmp_path / "elsewhere").mkdir()
    done = run_python(code, *arguments, cwd=tmp_path / "elsewhere")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "set()"
    assert names(tmp_path / "elsewhere") == ["codes.npz"]
