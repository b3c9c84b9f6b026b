import json
import re

import pandas as pd
import pytest
import yaml

from autoencoders.data.prepared import DatasetInfo
from autoencoders.ladder.stories import Story
from autoencoders.params import parse_params
from autoencoders.report.comparison import comparison
from autoencoders.report.page import EXAMPLE, RungSection, Usage, render, rung_section
from autoencoders.report.provenance import leading_sentences, run_duration

NASTY = "<script>alert('&')</script>"
INFO = DatasetInfo("tiny", (1, 8, 8), {"train": 1000, "val": 5, "test": 9}, None, "0" * 64)


def rung(text: str) -> RungSection:
    return RungSection("one-hot", Story("", text, text, [text], ""), [text], {text: ["1"]}, {text: text}, None)


def test_every_text_is_escaped(make_page):
    dataset = DatasetInfo(NASTY, (1, 8, 8), {"train": 6, "val": 2, "test": 2}, [NASTY], "0" * 64)
    html = render(
        make_page(
            dataset=dataset, lead=[NASTY], hardware=[NASTY], parameters=NASTY, rungs=[rung(NASTY)],
            usage=Usage(NASTY, [1, 8, 8], samples=True),
            too_large=[NASTY], legend=[{"mark": "●", "colour": "#000", "text": NASTY}],
            origin={"python": NASTY}, durations=[(NASTY, [run_duration(NASTY, 1.0, NASTY, {})])],
        )
    )  # fmt: skip
    assert NASTY not in html
    assert "alert" in html
    # The origin, what makes links work in Kubeflow's frame, what opens details for printing.
    assert html.count("<script") == html.count("</script>") == 3


@pytest.mark.parametrize("server", [None, "https://mlflow.example"])
def test_the_page_names_the_place_of_the_runs(make_page, server):
    html = render(make_page(mlflow=server))
    assert ("<pre>mlflow ui" in html) == (server is None)
    assert ("<pre>https://mlflow.example</pre>" in html) == (server is not None)


def test_the_origin_can_be_read_back(make_page):
    origin = {"python": "3.11.7", "dvc_experiment": "a</script>b"}
    html = render(make_page(origin=origin))
    found = re.search(r'<script type="application/json" id="origin">(.*?)</script>', html)
    assert json.loads(found[1]) == origin


def test_commit_and_uncommitted_changes_are_shown(make_page):
    assert "with uncommitted changes" in render(make_page())
    clean = render(make_page(origin={"python": "3.11.7", "git_commit": "c0ffee" * 6, "git_dirty": "false"}))
    assert "c0ffee" * 6 in clean
    assert "uncommitted" not in clean
    assert "unknown: not in a git repository" in render(make_page(origin={"python": "3.11.7"}))


def test_without_a_model_of_two_dimensions_the_page_says_how_to_add_one(make_page):
    html = render(make_page())
    assert "No model of this run has two latent dimensions" in html
    assert EXAMPLE in html
    assert parse_params(yaml.safe_load(EXAMPLE)).model("vae-2d").latent == 2
    assert "No model of this run" not in render(make_page(too_large=["big"]))


def test_a_rung_without_a_figure_is_told_in_words(make_page):
    record = {
        "name": "linear",
        "metrics": {"floor": 0.5, "a/b/mse": 0.0123456, "a/b/weights": 12345.0, "c/mse": float("nan")},
        "params": {"latents": [2, 16]},
    }  # fmt: skip
    section = rung_section(record, Story("", "T", "C", ["One.", "Two."], ""), None)
    assert section.columns == ["floor", "mse", "weights"]
    assert section.rows == {"": ["0.500", "–", "–"], "a/b": ["–", "0.0123", "12,345"], "c": ["–", "n/a", "–"]}
    html = render(make_page(rungs=[section]))
    assert "<p>One.</p>" in html
    assert html.index("Two.") < html.index("[2, 16]")


def test_the_first_sentences_name_the_best():
    measured = pd.DataFrame(
        {"mse": [0.02, 0.01], "frechet/prior": [30.0, 90.0], "frechet/floor": [0.5, 0.5]}, index=["vae", "ae"]
    )
    first, second = leading_sentences(INFO, measured)
    assert first.startswith("2 models learned from 1,000 images")
    assert "PCA" not in first
    beside = leading_sentences(INFO, measured.assign(mse_over_pca=[0.34, 0.29]))[0]
    assert beside.endswith("Their squared error, divided by PCA's with as many numbers: vae 0.34 and ae 0.29.")
    assert second.startswith("The best at redrawing is ae, with a mean squared error of 0.01000 a pixel.")
    assert second.endswith("has a Fréchet distance of 30.0 to real images; other real images have 0.500.")
    assert len(leading_sentences(INFO, measured[:1])) == 1
    assert len(leading_sentences(INFO, measured.assign(mse=[0.1, None]))) == 1


@pytest.mark.parametrize(("seconds", "expected"), [(None, None), (float("nan"), None), (2.5, 2.5)])
def test_a_duration_has_its_time_where_it_is_known(seconds, expected):
    tags = {"git_commit": "abc", "git_dirty": "true"}
    made = run_duration("pca", seconds, "cpu", tags)
    assert (made.seconds, made.commit, made.dirty) == (expected, "abc", True)
    assert run_duration("pca", seconds, "cpu", {}).commit == ""


def test_a_page_of_one_model_speaks_of_no_best(make_page):
    assert "bold and starred" not in render(make_page())
    two = pd.DataFrame({"kind": ["pca"] * 2, "latent": [2, 3], "mse": [0.1, 0.2]}, index=["a", "b"])
    assert "bold and starred" in render(make_page(table=comparison(two)))


def test_a_rung_that_measured_nothing_has_no_empty_tables(make_page):
    nothing = RungSection("generation", Story("", "Inventing", "A claim.", ["There is no pair."], ""), [], {}, {}, None)
    assert "Numbers and settings" not in render(make_page(rungs=[nothing]))
    html = render(make_page(rungs=[rung("a")]))
    assert html.count("Numbers and settings") == 1


def test_own_images_go_by_the_name_of_their_folder(make_page):
    own = DatasetInfo("folder", (1, 8, 8), {"train": 6, "val": 2, "test": 2}, None, "0" * 64, "holiday")
    html = render(make_page(dataset=own))
    assert "<h1>Autoencoders on holiday</h1>" in html
    assert "folder" not in html.partition("<body>")[2].partition('id="use"')[0]
