"""What tasks hand each other: folders, and digests of what is in them."""

import json
import re
from pathlib import Path

import pytest
from artifacts import Artifact
from gathered import PARAMS

from autoencoders.errors import UserError
from autoencoders.kubeflow.artifacts import digest, merge_folders, models_of, single_subfolder
from autoencoders.kubeflow.inputs import from_kfp_inputs


def test_an_artifact_without_its_one_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="must hold one folder, found 0"):
        single_subfolder(Artifact(str(tmp_path)))


def test_a_digest_changes_with_a_name_or_a_byte_and_not_with_the_run(tmp_path):
    def written(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return digest(Artifact(str(folder)))

    files = {"vae/weights": "1", "vae/model.json": "{}"}
    first = written(files)
    assert written({**files, "vae/run.json": "a", "vae/history.csv": "b"}) == first
    assert written({**files, "vae/weights": "2"}) != first
    assert written({"ae/weights": "1", "ae/model.json": "{}"}) != first
    assert written({"vae/weights": "1{}"}) != first


def test_what_the_models_left_is_gathered_beside_their_parameters(artifact, measured):
    results = artifact("results")
    models, evaluation, comparison = merge_folders(results, measured, PARAMS)
    assert {path.name for path in models.iterdir()} == {"vae", "ae"}
    assert json.loads((evaluation / "ae" / "metrics.json").read_text()) == {"mse": 0.1, "kl": 3.0}
    assert (comparison, comparison.exists()) == (Path(results.path) / "comparison", False)
    assert list(from_kfp_inputs({"models": models_of(results)}).models) == ["vae", "ae"]


def test_another_order_of_the_models_is_another_digest(artifact, measured):
    """Figures and tables have the order of params.yaml."""
    digests = []
    for name, params in (("a", PARAMS), ("b", PARAMS), ("c", PARAMS[::-1])):
        merge_folders(artifact(name), measured, params)
        digests.append(digest(artifact(name)))
    assert digests[0] == digests[1] != digests[2]
    assert re.fullmatch("[0-9a-f]{16}", digests[0])
