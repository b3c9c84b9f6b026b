"""The notebook, run as Jupyter runs it."""

import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from autoencoders import load_model

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"


@pytest.fixture
def executed(tmp_path, trained, prepared, monkeypatch) -> nbformat.NotebookNode:
    """The notebook after its run in a project with tiny models."""
    shutil.copytree(trained / "vae", tmp_path / "models" / "vae-2d")
    shutil.copytree(prepared, tmp_path / "data" / "prepared")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return notebook


def test_every_cell_runs_and_draws_what_the_model_makes(executed, trained, prepared):
    outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
    printed = {
        name: "".join(out.text for out in found if out.output_type == "stream") for name, found in outputs.items()
    }
    drawn = {name for name, found in outputs.items() if any("image/png" in out.get("data", {}) for out in found)}
    assert drawn == {"reconstruct", "scatter", "grid", "interpolate", "sample", "strange"}
    images = np.load(prepared / "test" / "images.npy") / 255
    model = load_model(trained / "vae")
    errors = model.anomaly_scores(images).mse
    assert printed["load"] == "20 images (1, 8, 8); codes of 2 and 2 numbers\n"
    assert printed["reconstruct"] == f"codes (20, 2), squared error {errors.mean():.5f} per pixel\n"
    assert printed["strange"].startswith(f"squared errors {errors.sort().values[-10]:.4f} to {errors.max():.4f}; ")


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
