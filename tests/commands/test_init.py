import difflib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoencoders.commands import settings
from autoencoders.data import survey
from autoencoders.data.decode_folder import FEW
from autoencoders.data.prepared import PreparedData
from autoencoders.params import load_params
from autoencoders.stages.check import check
from autoencoders.stages.download import download
from autoencoders.stages.prepare import prepare

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(0)


def photograph(height: int = 32, width: int = 32, channels: int = 3) -> Image.Image:
    """A smooth picture of grey levels far from black and white."""
    small = RANDOM.integers(60, 200, (4, 4, channels), dtype=np.uint8)
    image = Image.fromarray(small if channels == 3 else small[..., 0])
    return image.resize((width, height), Image.Resampling.BILINEAR)


def drawing() -> Image.Image:
    pixels = np.zeros((28, 28), np.uint8)
    top, left = RANDOM.integers(2, 14, 2)
    pixels[top : top + 9, left : left + 9] = 255
    return Image.fromarray(pixels)


def fill(folder: Path, images: list[Image.Image]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A git repository with the project's params.yaml, in which commands run."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def call(run, repository, monkeypatch):
    """Call `autoencoders …` in the repository."""
    monkeypatch.chdir(repository)
    return run


def test_only_what_suits_the_images_changes_and_each_reason_stands_above(call, repository, store, capsys):
    fill(repository / "images" / "cats", [photograph() for _ in range(20)])
    fill(repository / "images" / "dogs", [photograph() for _ in range(20)])
    before = (repository / "params.yaml").read_text(encoding="utf-8").splitlines()
    done = call("init", "images")
    assert done.code == 0
    after = (repository / "params.yaml").read_text(encoding="utf-8").splitlines()
    differ = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    comments = [line[2:].strip() for line in differ if line.startswith("+ ") and line[2:].strip().startswith("# > ")]
    changed = [line[2:].split("#")[0].strip() for line in differ if line.startswith("+ ")]
    assert {line for line in changed if line} == {
        "name: folder", "image_size: 32", "channels: 3", "validation: 0.2", "test: 0.2", "latent: 4",
        "likelihood: gaussian",
    }  # fmt: skip
    kept = "\n".join(after)
    assert all(line.partition("#")[2] in kept for line in before), "the comments of the file stay"
    told = " ".join(line.removeprefix("# > ") for line in comments)
    for reason in (
        "The folder holds 40 images. 2 classes: cats (20), dogs (20). These are few: below 500, networks",
        "The size of all images (height × width).",
        "All images are in colour.",
        "About 8 images.",
        "The least: a tenth of the 26 training images is fewer.",
        "Only 0 % of all values are nearly black or white: these are photographs. This begins as PCA.",
    ):
        assert reason in told
        assert reason.split(".")[0] in " ".join(done.out.split())
    check(load_params())
    assert (
        "images: 40 images, brought to 32×32 (height × width), colour; 2 classes; train 26, val 6, test 8\n"
        in capsys.readouterr().out
    )


def test_drawings_keep_the_bernoulli_likelihood_and_few_colours_become_grey(call, repository):
    fill(repository / "images", [*(drawing() for _ in range(199)), photograph(28, 28)])
    assert call("init", "images").code == 0
    params = load_params()
    assert (params.data.image_size, params.data.channels, params.data.fit) == (28, 1, "pad")
    assert {name: entry.latent for name, entry in params.models.items()} == {
        "pca": 12, "ae": 12, "vae": 12, "ae-2d": 2, "vae-2d": 2,
    }, "a tenth of the 128 images for training"  # fmt: skip
    assert params.models["vae"].model_dump()["likelihood"] == "bernoulli"
    told = (repository / "params.yaml").read_text(encoding="utf-8")
    assert (
        "  # > Of 200 images, only 1 file (199.png) is in colour: all become grey. Write 3 to keep the colours." in told
    )


def test_what_the_user_has_sorted_is_not_split_and_defects_keep_their_pixels(call, tmp_path):
    folder = tmp_path / "bottle"
    fill(folder / "train" / "good", [photograph(300, 300) for _ in range(30)])
    for kind in ("good", "crack"):
        fill(folder / "test" / kind, [photograph(300, 300) for _ in range(4)])
    fill(folder / "ground_truth" / "crack", [Image.new("L", (300, 300)) for _ in range(4)])
    done = call("init", folder)
    assert done.code == 0
    params = load_params()
    assert (params.data.folder, params.data.image_size, params.data.fit) == (str(folder), 128, "pad")
    assert (params.prepare.validation, params.prepare.test) == (0.2, 0.15), "only val is split off"
    assert "Roles of folders: train/ 30 images" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("sizes", "size", "fit"),
    [
        ([(40, 60)] * 9, (40, 60), "pad"),
        ([(400, 600)] * 9, (64, 96), "pad"),
        ([(100, 104), (104, 100), (100, 102)] * 3, 64, "pad"),
        ([(70, 140), (140, 70), (90, 90)] * 3, 64, "crop"),
    ],
    ids=["small", "large", "nearly square", "upright and lying"],
)
def test_the_size_and_the_fit_follow_the_images(call, repository, sizes, size, fit):
    fill(repository / "images", [photograph(*one) for one in sizes])
    assert call("init", "images").code == 0
    assert (load_params().data.image_size, load_params().data.fit) == (size, fit)


def test_a_changed_params_yaml_is_overwritten_only_by_force(call, repository):
    fill(repository / "images", [photograph() for _ in range(12)])
    path = repository / "params.yaml"
    edited = path.read_text(encoding="utf-8").replace("beta: 1.0", "beta: 4.0")
    path.write_text(edited, encoding="utf-8")
    done = call("init", "images")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err == (
        "error: params.yaml has changes that git does not hold, and some would be overwritten. Commit them, or add "
        "--force.\n"
    )
    assert path.read_text(encoding="utf-8") == edited
    assert call("init", "images", "--force").code == 0
    once = path.read_text(encoding="utf-8")
    assert load_params().models["vae"].model_dump()["beta"] == 4.0, "other settings stay"
    assert call("init", "images", "--force").code == 0
    assert path.read_text(encoding="utf-8") == once, "reasons are replaced, not added"


def test_without_git_nothing_is_known_to_be_kept(call, repository, monkeypatch):
    fill(repository / "images", [photograph() for _ in range(12)])
    monkeypatch.setenv("PATH", "")
    assert "Commit them, or add --force" in call("init", "images").err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "does not exist (looked in "),
        (lambda folder: folder.mkdir(), "holds no images (0 other files)"),
        (lambda folder: (folder.mkdir(), (folder / "a.txt").touch()), "holds no images (1 other file)"),
        (lambda folder: folder.write_text("a"), "is not a folder"),
        (lambda folder: fill(folder, [photograph()]), "1 of its images can be read; 5 or more are needed. Add images."),
        (lambda folder: fill(folder, [photograph()] * 9), "only 1 of the images are different ones. Add others."),
        (
            lambda folder: fill(folder, [photograph(1, 1) for _ in range(9)]),
            "data.folder: images of 1×1 pixels (height × width) are too small; 4 is the least. Add larger ones.",
        ),
        (
            lambda folder: fill(folder, [photograph(2, 300) for _ in range(9)]),
            "data.folder: images of 2×300 pixels (height × width) are too small; 4 is the least. Add larger ones.",
        ),
        (
            lambda folder: [fill(folder / "carpet" / role, [photograph()] * 3) for role in ("train", "test")],
            "Name one such folder: own/carpet.",
        ),
        (
            lambda folder: (folder.mkdir(), (folder / "a.png").write_text("a")),
            "none of the images in own can be read: a.png (not an image)",
        ),
    ],
    ids=[
        "nothing",
        "empty",
        "no image",
        "a file",
        "few",
        "copies",
        "one pixel",
        "two pixels",
        "all of MVTec",
        "broken",
    ],
)
def test_where_there_are_no_images_it_is_one_line(call, repository, make, message):
    before = (repository / "params.yaml").read_bytes()
    make(repository / "own")
    done = call("init", "own")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert (repository / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("count", [5, 6, 7, 10, 31])
def test_prepare_takes_the_shares_for_any_number_of_images(call, repository, count, capsys):
    fill(repository / "images", [photograph() for _ in range(count)])
    assert call("init", "images").code == 0
    params = load_params()
    download(params, out=repository / "raw")
    prepare(params, raw=repository / "raw", out=repository / "prepared", card=repository / "card")
    counts = PreparedData(repository / "prepared").info.counts
    assert f"\n  # > About {counts['test']} images." in (repository / "params.yaml").read_text(encoding="utf-8")
    assert min(counts["train"], counts["test"]) >= 2
    assert counts["val"] >= 1


def test_where_a_fifth_holds_copies_alone_more_is_held_out(call, repository):
    fill(repository / "images", [image for _ in range(4) for image in [photograph()] * 3])
    told = " ".join(call("init", "images").out.split())
    assert "Exact and near copies: 8; each stays in the split of its original. These are few" in told
    assert (load_params().prepare.validation, load_params().prepare.test) == (0.3, 0.3)


def test_roles_are_counted_in_full_where_only_some_images_are_looked_at(call, repository, monkeypatch):
    fill(repository / "images" / "train", [photograph() for _ in range(30)])
    fill(repository / "images" / "test", [photograph() for _ in range(2)])
    monkeypatch.setattr(survey, "sample_of", lambda paths: paths[3::10])
    told = " ".join(call("init", "images").out.split())
    assert "The folder holds 32 images, of which 3 were looked at" in told
    assert "The least: a tenth of the 24 training images is fewer." in told


def test_files_that_cannot_be_read_are_named_and_too_many_of_them_are_pointed_out(call, repository):
    folder = fill(repository / "images", [photograph() for _ in range(20)])
    (folder / "a.png").write_text("a")
    told = " ".join(call("init", "images").out.split())
    assert "The folder holds 21 images. 1 file cannot be read: a.png (not an image). These are few" in told
    Image.new("F", (8, 6)).save(folder / "b.tif")
    told = " ".join(call("init", "images", "--force").out.split())
    assert (
        "2 files cannot be read: a.png (not an image), b.tif (floating-point pixels, whose range is unknown). This is "
        "a larger share than data.max_unreadable (0.05), so `prepare` refuses to run: repair or remove them, or raise "
        "it. "
    ) in told


def test_of_a_shorter_side_that_all_have_one_number_is_said(call, repository):
    fill(repository / "images", [photograph(*size) for size in [(60, 90), (90, 60)] * 5])
    assert "Shorter sides have 60 pixels, and this" in " ".join(call("init", "images").out.split())


def test_an_image_with_too_many_pixels_is_one_that_cannot_be_read(call, repository, monkeypatch, recwarn):
    fill(repository / "images", [photograph(40, 40), *(photograph() for _ in range(9))])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    done = call("init", "images")
    assert (done.code, done.err, recwarn.list) == (0, "", [])
    assert "1 file cannot be read: 0.png (too many pixels)." in " ".join(done.out.split())


def test_outside_of_a_repository_it_says_where_to_run(run, tmp_path):
    assert run("init", ".").err == f"error: params.yaml does not exist in {tmp_path}. Run from the repository root.\n"


def test_the_limits_are_those_of_the_docs_and_within_those_of_the_models():
    from autoencoders.models.network import MAX_MLP_VALUES

    assert settings.MAX_DRAWN_VALUES <= MAX_MLP_VALUES
    told = " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())
    for text in (
        f"decodes up to {survey.MAX_LOOKED_AT:,} images",
        f"shorter sides of at most {survey.MAX_SIDE} |",
        f"at most {survey.MAX_SIDE_OF_DEFECTS} where one class",
        f"more than {100 * settings.MAX_BORDER:.0f} % of an average image",
        f"fewer than {100 * FEW:.0f} % of the images are in colour",
        f"fewer than {settings.SMALL:,} images",
        f"{settings.LATENT_OF_PHOTOGRAPHS} for photographs, {settings.LATENT} for drawings",
        f"of more than {settings.MAX_DRAWN_VALUES:,} values",
        f"{100 * settings.DRAWN:.0f} % of all values",
    ):
        assert text in told
