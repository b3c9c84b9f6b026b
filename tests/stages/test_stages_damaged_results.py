"""Results that are damaged between two stages: whatever reads them says in a line which file it is."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoencoders.commands.lineage import lineage
from autoencoders.data.card import write_card
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.stages.compare import compare
from autoencoders.stages.plots import plots
from autoencoders.stages.publish import publish
from autoencoders.stages.report import report

Outputs = dict[str, Path]
CONTENTS = [
    b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b"[" * 100_000, b"\0" * 100, b'{"mse": "x"}', b'{"mse": 1e999}',
    b'{"run_id": 7, "tags": []}', b'{"format": 1}', b'{"format": 2, "name": "ae"}', b"a,b\n1,2\n", b"step\n1,2,3\n",
    b"model,kind\nae,gan\n", b"step,mse\nx,y\n", b"dimension,variance,kl\n1,x,1\n", b'"',
]  # fmt: skip


@pytest.fixture
def results(outputs) -> Outputs:
    for name in ("pca", "ae", "vae"):
        folder = outputs["evaluation"] / name
        (folder / "metrics.json").write_text('{"mse": 0.1, "frechet/prior": 3.0, "frechet/floor": 0.5}')
        kl = [",kl", ",0.1"] if name == "vae" else ["", ""]
        (folder / "codes" / "dimensions.csv").write_text(f"dimension,variance{kl[0]}\n1,0.1{kl[1]}\n2,0.2{kl[1]}\n")
    (outputs["out"].parent / "data").mkdir(parents=True)
    write_card(outputs["out"].parent / "data", PreparedData(outputs["data"]), seed=0, remarks={})
    return outputs


def calls(params: Params, results: Outputs) -> dict[str, Callable[[], None]]:
    read = {name: results[name] for name in ("models", "evaluation")}
    reports = results["out"].parent
    drawn = {"out": reports / "figures", "curves": reports / "curves"}
    logged = {"figures": results["figures"], "ladder": results["ladder"], "report": results["out"]}
    return {
        "compare": lambda: compare(params, **read, out=reports / "comparison"),
        "plots": lambda: plots(
            params, data=results["data"], card=reports / "data", **read, ladder=results["ladder"], **drawn
        ),
        "publish": lambda: publish(params, **read, **logged),
        "report": lambda: report(params, **results),
        "lineage": lambda: lineage(str(results["models"] / "ae")),
    }


READ_BY = {
    "models/ae/model.json": ["plots", "publish", "report", "lineage"],
    "models/ae/run.json": ["publish", "report", "lineage"],
    "models/ae/history.csv": ["compare", "plots", "publish"],
    "evaluation/ae/metrics.json": ["compare", "plots", "publish"],
    "evaluation/ae/codes/test.npy": ["plots", "report"],
    "evaluation/vae/codes/dimensions.csv": ["plots"],
    "comparison/comparison.csv": ["report"],
    "reports/data/data_card.json": ["plots"],
    "reports/data/data_card.npz": ["plots"],
    "figures/data_card.png": ["report"],
    "ladder/beta/rung.json": ["plots", "publish", "report"],
    "ladder/beta/arrays.npz": ["plots"],
}


@pytest.mark.parametrize("file", READ_BY)
def test_a_damaged_file_is_named_by_whatever_reads_it(params, results, file):
    folder, _, rest = file.partition("/")
    folders = {**results, "reports": results["out"].parent}
    path, call = folders[folder] / rest, calls(params, results)
    for content in CONTENTS:
        path.write_bytes(content)
        for reader in READ_BY[file]:
            with pytest.raises(UserError) as caught:
                call[reader]()
            told = str(caught.value)
            assert f"{path}" in told, (reader, content[:20])
            assert len(told.splitlines()) == 1
            assert len(told) < 1000


def test_codes_and_numbers_that_are_not_finite_are_no_results(params, results):
    folder, call = results["evaluation"] / "ae", calls(params, results)
    codes = np.zeros((20, 2), np.float32)
    codes[3, 1] = np.nan
    np.save(folder / "codes" / "test.npy", codes)
    for reader in ("plots", "report"):
        with pytest.raises(UserError, match=r"ae/codes/test.npy is missing or damaged \(it holds NaN or infinity\)"):
            call[reader]()
    (folder / "metrics.json").write_text('{"mse": NaN, "frechet/prior": 3.0, "frechet/floor": 0.5}')
    with pytest.raises(UserError, match=r"ae/metrics.json is missing or damaged \(mse: missing\)\. Run the `evaluate`"):
        call["compare"]()


def test_a_rung_that_lacks_what_its_figure_or_its_story_needs_is_named(params, results):
    call, folder = calls(params, results), results["ladder"] / "beta"
    np.savez(folder / "arrays.npz", betas=np.ones(2))
    with pytest.raises(
        UserError, match=r"beta/arrays.npz is missing or damaged \(KeyError.*`autoencoders ladder beta`"
    ):
        call["plots"]()
    described = json.loads((folder / "rung.json").read_text())
    (folder / "rung.json").write_text(json.dumps(described | {"facts": {}}))
    with pytest.raises(UserError, match=r"beta/rung.json is missing or damaged \('results' is undefined\)"):
        call["report"]()


@pytest.mark.parametrize("content", [b"step,mse\nx,y\n", b"step,mse\n1,\xff\n", b"step\n1,2\n", b'step,"mse\n1,2\n'])
def test_damaged_curves_of_a_rung_are_named(params, results, client, content):
    (results["ladder"] / "beta" / "series.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"beta/series.csv is damaged \(.*\)\. Run its rung's stage again\.$"):
        calls(params, results)["publish"]()


@pytest.mark.parametrize("content", [b"\xff", b'<script type="application/json" id="origin">{"a": [}</script>'])
def test_a_damaged_page_is_named(params, results, content):
    results["out"].write_bytes(content)
    with pytest.raises(UserError, match=r"index.html is damaged \(.*\)\. Run the `report` stage\.$"):
        calls(params, results)["publish"]()


def test_a_model_that_came_without_its_run_and_history_is_published(params, results, client):
    for name in ("run.json", "history.csv"):
        (results["models"] / "ae" / name).unlink()
    call = calls(params, results)
    call["publish"]()
    call["compare"]()
    [run] = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
        if run.info.run_name == "ae"
    ]
    assert run.info.status == "FINISHED"
    assert "val/best/mse" in run.data.metrics
