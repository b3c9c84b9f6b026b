"""The whole pipeline under DVC, on a folder of tiny images, in a repository of its own."""

import compileall
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from startup_project import small_project

from autoencoders.ladder.record import RUNGS
from autoencoders.tracking.store import tagged

LADDER = [
    "ladder@one-image", "ladder@one-hot", "ladder@auto-decoder", "ladder@beta",
    "ladder-of-models@linear", "ladder-of-models@generation",
]  # fmt: skip
REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def run(folder: Path, *command: str, code: int = 0) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for name in ("MLFLOW_TRACKING_URI", "AUTOENCODERS_MIRROR"):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(.*?)'", output)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A clone of this repository with small parameters, on which the pipeline has run once."""
    folder = tmp_path_factory.mktemp("small") / "project"
    small_project(folder)
    output = run(folder, "dvc", "repro")
    assert stages_run(output) == [
        "check", "download", "prepare", "features", "train@pca", "train@vae", "evaluate@pca", "evaluate@vae",
        *LADDER, "plots", "compare", "report",
    ]  # fmt: skip
    run(folder, "git", "add", "dvc.lock", "evaluation")
    run(folder, "git", "commit", "-qm", "ran")
    return folder


def mlflow_runs(folder: Path, experiment_name: str = "autoencoders") -> list:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(experiment_name)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def test_every_model_is_measured_drawn_and_compared(project):
    table = (project / "reports/comparison/comparison.txt").read_text()
    assert [line.split()[0] for line in table.splitlines()[2:4]] == ["pca", "vae"]
    metrics = json.loads((project / "evaluation/vae/metrics.json").read_text())
    assert {"mse", "bce", "ssim", "psnr", "kl", "elbo", "nll", "mmd", "ks", "knn5", "linear_probe"} <= set(metrics)
    assert {"frechet/prior", "frechet/gaussian", "frechet/mixture", "frechet/floor"} <= set(metrics)
    assert metrics["nll"] <= -metrics["elbo"] + 1  # the bound of more samples is tighter
    figures = {path.stem for path in (project / "reports/figures").glob("*.png")}
    shared = {"reconstructions", "samples", "comparison", "errors", "interpolations", "loss", "kl"}
    own = {"prediction--pca", "prediction--vae", "learned_distribution--vae"}
    assert figures == shared | own | {"data_card"}
    kl = (project / "reports/curves/kl.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in kl] == ["model,dimension", "vae,1", "vae,2", "vae,3"]
    assert json.loads((project / "data/prepared/dataset.json").read_text())["shape"] == [1, 9, 8]


def test_every_model_has_one_run_with_everything_in_it(project):
    runs = {found.info.run_name: found for found in mlflow_runs(project) if "dvc_experiment" not in found.data.tags}
    assert set(runs) == {"pca", "vae"}
    beside = [found.info.run_name for found in mlflow_runs(project, "autoencoders-ladder")]
    assert set(beside) == {"report", *(f"ladder: {name}" for name in RUNGS)}
    vae = runs["vae"]
    assert vae.info.status == "FINISHED"
    measured = json.loads((project / "evaluation/vae/metrics.json").read_text())
    assert vae.data.metrics["test/mse"] == measured["mse"]
    assert {"train/loss", "val/recon", "val/kl", "test/frechet/prior"} <= set(vae.data.metrics)
    assert vae.data.params["model.beta"] == "1.0"
    assert vae.data.tags["dvc_stage"] == "train@vae"
    head = run(project, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert (vae.data.tags["git_commit"], vae.data.tags["git_dirty"]) == (head, "false")


def test_dvc_s_own_charts_have_a_panel_for_each_model(project):
    shown = json.loads(run(project, "dvc", "plots", "show", "--json"))["data"]
    for name, x, points in (("loss", "step", 9), ("kl", "dimension", 3)):
        [chart] = shown[f"reports/curves/{name}.csv"]
        spec = json.loads(chart["content"]) if isinstance(chart["content"], str) else chart["content"]
        assert spec["facet"]["field"] == "model"
        assert spec["spec"]["encoding"]["x"]["field"] == x
        assert [point["model"] for point in spec["data"]["values"]] == ["vae"] * points


@pytest.mark.parametrize("temporary", [True, False])
def test_a_wrong_value_is_refused_before_anything_is_deleted(project, temporary):
    results = [*project.glob("models/*/*"), *project.glob("data/*/*"), *project.glob("evaluation/*/*")]
    before = {path: path.stat().st_mtime_ns for path in results}
    options = ["--temp"] if temporary else []
    try:
        output = run(project, "dvc", "exp", "run", *options, "-S", "models.vae.beta=abc", code=255)
    finally:
        run(project, "git", "checkout", "params.yaml")
    assert stages_run(output) == ["check"]
    assert "error: params.yaml: models.vae.beta: " in output
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_second_run_does_nothing(project):
    output = run(project, "dvc", "repro")
    assert stages_run(output) == []
    assert "up to date" in output


def test_compiled_modules_are_no_dependency(project):
    """They hold the time of their source, which differs from clone to clone."""
    compileall.compile_dir(project / "src", quiet=1)
    assert list(project.glob("src/autoencoders/*/__pycache__/*.pyc"))
    assert stages_run(run(project, "dvc", "repro", "--dry")) == []


def test_an_experiment_re_runs_one_model_and_what_depends_on_it(project):
    output = run(project, "dvc", "exp", "run", "--temp", "-n", "four", "-S", "models.vae.beta=4")
    assert stages_run(output) == ["check", "train@vae", "evaluate@vae", *LADDER[-2:], "plots", "compare", "report"]
    betas = [found.data.params.get("model.beta") for found in mlflow_runs(project)]
    assert sorted(beta for beta in betas if beta) == ["1.0", "4.0"]
    difference = json.loads(run(project, "dvc", "metrics", "diff", "HEAD", "four", "--json"))
    assert "evaluation/vae/metrics.json" in difference
    assert "evaluation/pca/metrics.json" not in difference


def test_metrics_are_in_git_and_compare_on_a_clone_that_pulled_nothing(project, tmp_path):
    tracked = run(project, "git", "ls-files", "evaluation").split()
    assert tracked == ["evaluation/pca/metrics.json", "evaluation/vae/metrics.json"]
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    shown = json.loads(run(tmp_path / "clone", "dvc", "metrics", "show", "--json"))
    measured = json.loads((project / "evaluation/vae/metrics.json").read_text())
    assert shown[""]["data"]["evaluation/vae/metrics.json"]["data"] == measured


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("ladder/beta/story.md", ["report"]),
        ("ladder/beta/figure.py", ["plots"]),
        ("plots/style.py", ["plots", "report"]),
    ],
)
def test_another_sentence_or_line_measures_nothing_again(project, file, stages):
    """A figure that has come out other than before then has the report written again."""
    path = project / "src" / "autoencoders" / file
    before = path.read_text()
    path.write_text(before + "\n\n")
    try:
        assert stages_run(run(project, "dvc", "repro", "--dry")) == stages
    finally:
        path.write_text(before)


def test_a_new_image_is_noticed(project):
    path = project / "pictures" / "kind-0" / "new.png"
    Image.fromarray(np.full((9, 8), 7, np.uint8)).save(path)
    try:
        assert "changed" in run(project, "dvc", "status", "download")
    finally:
        path.unlink()


def test_two_at_once_are_kept_apart(project):
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    script = "import time; from dvc.repo import Repo\nwith Repo('.').lock: print('locked', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=project, stdout=subprocess.PIPE, env=environment
    ) as other:
        other.stdout.readline()
        try:
            output = run(project, "dvc", "repro", code=255)
        finally:
            other.kill()
    assert "Unable to acquire lock" in output


@pytest.mark.cluster
def test_kubeflow_s_graph_gives_what_dvc_s_gives(project, tmp_path):
    """The same stages, called by KFP's components on this machine: the same weights, numbers and pictures."""
    environment = {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        output = run(project, sys.executable, "-m", "pipeline", "local", "--root", str(tmp_path))
    [ran] = [path.parent for path in tmp_path.glob("*/report")]
    assert f"report: {tmp_path / 'index.html'}" in output
    assert "<h1" in (tmp_path / "index.html").read_text()

    def kubeflow(name: str) -> Path:
        [found] = ran.rglob(name)
        return found

    for model in ("pca", "vae"):
        found = json.loads(kubeflow(f"train/model/{model}/model.json").read_text())
        expected = json.loads((project / "models" / model / "model.json").read_text())
        assert found["weights_sha256"] == expected["weights_sha256"]
        assert found == expected
        measured = kubeflow(f"compare/results/evaluation/{model}/metrics.json").read_text()
        assert measured == (project / "evaluation" / model / "metrics.json").read_text()
    of_one_run = dict.fromkeys(("seconds", "ended", "tags"))
    for rung in RUNGS:
        found = json.loads(kubeflow(f"{rung}/rung.json").read_text())
        expected = json.loads((project / "reports" / "ladder" / rung / "rung.json").read_text())
        assert found | of_one_run == expected | of_one_run
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    above = tagged(client, "kfp_pipeline", output.split()[1])
    below = client.search_runs([client.get_run(above).info.experiment_id], f"tags.`mlflow.parentRunId` = '{above}'")
    assert {run.info.run_name for run in below} == {"pca", "vae", *(f"ladder: {rung}" for rung in RUNGS)}
    assert {run.info.status for run in [client.get_run(above), *below]} == {"FINISHED"}
    drawn = {path.name: path.read_bytes() for path in kubeflow("plots/figures").rglob("*.png")}
    assert drawn == {path.name: path.read_bytes() for path in (project / "reports" / "figures").rglob("*.png")}
