import json
import re

import pandas as pd
import pytest
import yaml
from page_parts import PIXEL, TILES, explorable

from autoencoders.data.prepared import DatasetInfo
from autoencoders.ladder.stories import Story
from autoencoders.params import parse_params
from autoencoders.report.comparison import comparison
from autoencoders.report.examples import Example, Examples, Extremes, Strip
from autoencoders.report.page import EXAMPLE, RungSection, Usage, render, rung_section
from autoencoders.report.provenance import leading_sentences, run_duration

NASTY = "<script>alert('&')</script>"
INFO = DatasetInfo("tiny", (1, 8, 8), {"train": 1000, "val": 5, "test": 9}, None, "0" * 64)


def rung(text: str) -> RungSection:
    return RungSection("one-hot", Story("", text, text, text, [text], ""), [text], {text: ["1"]}, {text: text}, None)


def test_every_text_is_escaped(make_page):
    dataset = DatasetInfo(NASTY, (1, 8, 8), {"train": 6, "val": 2, "test": 2}, [NASTY], "0" * 64)
    html = render(
        make_page(
            dataset=dataset, lead=[NASTY], hardware=[NASTY], parameters=NASTY, rungs=[rung(NASTY)],
            usage=Usage(NASTY, [1, 8, 8], samples=True),
            explorable=explorable(without_plane=[NASTY], without_sliders=[NASTY]),
            legend=[{"label": 0, "mark": "●", "colour": "#000", "text": NASTY}],
            origin={"python": NASTY}, durations=[(NASTY, [run_duration(NASTY, 1.0, NASTY, {})])],
            runs={"pca": f"http://example.org/{NASTY}"}, versions={NASTY: NASTY},
            draws=[Strip(NASTY, NASTY, TILES)], figures_by_model={NASTY: [PIXEL]},
            examples=Examples([Extremes(NASTY, [Example(1, NASTY, "0.1", TILES)], [])], 1.0, []),
        )
    )  # fmt: skip
    assert NASTY not in html
    assert "alert" in html
    # The origin, what makes links work in Kubeflow's frame, what decodes in the page, the page's own script.
    assert html.count("<script") == html.count("</script>") == 4


@pytest.mark.parametrize("server", [None, "https://mlflow.example"])
def test_the_page_names_the_place_of_the_runs(make_page, server):
    html = render(make_page(mlflow=server))
    assert ('<pre tabindex="0">mlflow ui' in html) == (server is None)
    assert ('<pre tabindex="0">https://mlflow.example</pre>' in html) == (server is not None)


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
    assert "No model of this run" not in render(make_page(explorable=explorable(without_plane=["big"])))
    assert "No model of this run" in render(make_page(explorable=explorable(without_sliders=["big"])))


def section(html: str, name: str) -> str:
    """The part of the page from that section to the next one of the contents."""
    following = {"explore": "plane", "plane": "ladder"}[name]
    return html.partition(f'<section id="{name}"')[2].partition(f'<section id="{following}"')[0]


def test_a_model_that_is_too_large_for_the_page_is_named_where_it_would_be(make_page):
    said = "Left out, since its decoder would make this page too large: big."
    for key, here, there in (("without_sliders", "explore", "plane"), ("without_plane", "plane", "explore")):
        html = render(make_page(explorable=explorable(**{key: ["big"]})))
        assert said in section(html, here)
        assert said not in section(html, there)


def test_a_rung_without_a_figure_is_told_in_words(make_page):
    record = {
        "name": "linear",
        "metrics": {"floor": 0.5, "a/b/mse": 0.0123456, "a/b/weights": 12345.0, "c/mse": float("nan")},
        "params": {"latents": [2, 16]},
    }  # fmt: skip
    section = rung_section(record, Story("", "T", "C", "Result.", ["One.", "Two."], ""), None)
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
    assert second.startswith("Most exact is ae, with a mean squared error of 0.01000 per pixel. Most realistic are ")
    assert second.endswith(
        "vae decodes from N(0, I): their Fréchet distance to real images is 30.0. Other real images have 0.500."
    )
    alike = leading_sentences(INFO, measured.assign(**{"mse": [0.01, 0.010001], "frechet/prior": 30.0}), "So it is.")
    assert alike[1].startswith("Most exact are vae and ae, with a mean squared error of 0.01000 per pixel. Most ")
    assert "the images that vae and ae decode from N(0, I)" in alike[1]
    assert alike[2] == "So it is."
    assert leading_sentences(INFO, measured[:1], "So it is.")[1:] == ["So it is."]
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
    nothing = RungSection(
        "generation", Story("", "Inventing", "A claim.", "", ["There is no pair."], ""), [], {}, {}, None
    )
    assert "Numbers and settings" not in render(make_page(rungs=[nothing]))
    html = render(make_page(rungs=[rung("a")]))
    assert html.count("Numbers and settings") == 1


def test_own_images_go_by_the_name_of_their_folder(make_page):
    own = DatasetInfo("folder", (1, 8, 8), {"train": 6, "val": 2, "test": 2}, None, "0" * 64, "holiday")
    html = render(make_page(dataset=own))
    assert "<h1>Autoencoders on holiday</h1>" in html
    assert "folder" not in html.partition("<body>")[2].partition('id="use"')[0]


def test_rows_that_another_row_repeats_with_more_are_left_out_and_small_numbers_have_no_exponent():
    metrics = {
        "image/mse": 1.6042615e-05, "image/weights": 44737.0, "image/bytes": 784.0,
        "image/network-1/mse": 0.000655303, "image/network-1/weights": 913.0,
        "image/network-2/mse": 1.6042615e-05, "image/network-2/weights": 44737.0,
    }  # fmt: skip
    record = {"name": "one-image", "metrics": metrics, "params": {}}
    section = rung_section(record, Story("", "T", "C", "", [], ""), None)
    assert section.rows == {
        "image": ["0.0000160", "44,737", "784"],
        "image/network-1": ["0.000655", "913", "–"],
    }


def test_a_model_s_name_leads_to_its_run_and_the_text_says_what_that_needs(make_page):
    html = render(make_page(runs={"pca": "http://127.0.0.1:5000/#/runs/0"}))
    assert '<a href="http://127.0.0.1:5000/#/runs/0" target="_blank" rel="noopener"' in html
    assert "With <code>mlflow ui</code> running, the models’ names" in html
    assert "With <code>mlflow ui</code> running" not in render(make_page(mlflow="https://mlflow.example"))


def test_versions_are_listed(make_page):
    assert "Python 3.11.7, PyTorch 2.14.1; data" in render(make_page(versions={"PyTorch": "2.14.1"}))
