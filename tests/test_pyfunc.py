import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from processes import run_python

import autoencoders
from autoencoders.model_folder import load_trained, read_description
from autoencoders.pyfunc import EVAL_BATCH, OUTPUTS, Reconstructor
from autoencoders.stages.publish import publish
from autoencoders.tracking import registry
from autoencoders.tracking.registry import save_pyfunc, write_code

IMAGES = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)

LOAD = """
import json, sys
sys.modules["autoencoders"] = None  # the package is not installed
import mlflow, numpy as np
from mlflow.models import Model
model = mlflow.pyfunc.load_model(sys.argv[1])
images = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict(images))
try:
    model.predict(images[:, :, 1:])
    refused = False
except mlflow.exceptions.MlflowException:
    refused = True
try:
    model.predict(images * 2)
    said = ""
except mlflow.exceptions.MlflowException as error:
    said = error.serialize_as_json()
codes = model.predict(images, params={"output": "codes"})
brought = {name.partition(".")[0] for name in sys.modules if name.startswith("autoencoders_")}
assert len(brought) == 1
code = sys.modules[brought.pop()].__file__
example = model.metadata.load_input_example()
signature = [spec.to_dict() for schema in (model.metadata.signature.inputs, model.metadata.signature.outputs)
             for spec in schema.inputs]
params = model.metadata.signature.params.to_dict()
print(json.dumps({"params": params, "code": code, "said": said, "codes": codes.shape,
                  "signature": signature, "refused": refused,
                  "example": [list(example.shape), str(example.dtype)]}))
"""


@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_predictions_are_the_decoded_codes_whatever_the_batch(trained, name):
    model = load_trained(trained / name).model
    images = np.random.default_rng(1).random((EVAL_BATCH + 1, 1, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = model.decode(model.encode(torch.from_numpy(images))).numpy()
    predicted = Reconstructor(trained / name).predict(images)
    assert (predicted.dtype, predicted.shape) == (np.float32, images.shape)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_the_parameter_output_asks_for_codes(trained, name):
    images = np.random.default_rng(1).random((EVAL_BATCH + 1, 1, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = load_trained(trained / name).model.encode(torch.from_numpy(images)).numpy()
    served = Reconstructor(trained / name)
    np.testing.assert_allclose(served.predict(images, {"output": "codes"}), expected, atol=1e-6)
    again = served.predict(images, {"output": "reconstructions"})
    np.testing.assert_array_equal(again, served.predict(images))
    with pytest.raises(
        MlflowException, match=r"params.output must be one of reconstructions, codes, found 'labels'\.$"
    ):
        served.predict(images, {"output": "labels"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.5, 255.0])
def test_images_out_of_range_are_refused(trained, value):
    images = IMAGES.copy()
    images[3, 0, 2, 2] = value
    with pytest.raises(MlflowException, match=r"^images must be floats in \[0, 1\], found values from "):
        Reconstructor(trained / "vae").predict(images)


def test_a_logged_model_brings_its_code_its_signature_and_an_example(trained, params, client, tmp_path):
    nothing = dict.fromkeys(("evaluation", "figures", "ladder"), tmp_path / "nothing")
    publish(params, models=trained, report=tmp_path / "nothing", **nothing)
    np.save(tmp_path / "images.npy", IMAGES)
    files = [str(tmp_path / name) for name in ("images.npy", "predicted.npy")]
    uri = "models:/tiny-autoencoders@best-vae"
    command = [sys.executable, "-W", "error::UserWarning:mlflow", "-c", LOAD, uri, *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_array_equal(np.load(files[1]), Reconstructor(trained / "vae").predict(IMAGES))
    spec = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1, 8, 8]}}
    assert told["signature"] == [spec, spec]
    assert [(param["name"], param["type"], param["default"]) for param in told["params"]] == [
        ("output", "string", "reconstructions")
    ]
    assert told["refused"]
    assert told["example"] == [[1, 1, 8, 8], "float32"]
    said = json.loads(told["said"])
    assert said["error_code"] == "INVALID_PARAMETER_VALUE"
    assert said["message"].startswith("images must be floats in [0, 1], found values from ")
    assert told["codes"] == [5, 2]
    assert "mlartifacts" in told["code"], "the model was loaded with the installed package, not with what it brings"


@pytest.fixture
def logged(trained, tmp_path) -> Callable[[str], Path]:
    """Save a trained model as it is logged; a hash of its code is in the names of two versions."""
    (tmp_path / "logged").mkdir()

    def save(name: str) -> Path:
        scratch = tmp_path / "logged" / name
        scratch.mkdir()
        model = SimpleNamespace(artifact_location="", model_id="m" * 32)
        save_pyfunc(scratch, trained / "vae", read_description(trained / "vae"), "r" * 32, model)
        return scratch / "model"

    return save


def of_another_version(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make this package one whose served model answers other images."""
    package = Path(shutil.copytree(Path(autoencoders.__file__).parent, folder / "autoencoders"))
    served = package / "pyfunc.py"
    served.write_text(served.read_text().replace("return made.numpy()", "return 1 - made.numpy()"))
    monkeypatch.setattr(registry, "PACKAGE", package)


ORDERS = """
import sys
import mlflow, numpy as np
images, first, other, folder, orders = np.load(sys.argv[1]), *sys.argv[2:5], sys.argv[5].split()
def installed():
    from autoencoders import load_model
    return load_model(folder, "cpu").reconstruct(images).numpy()
load = {
    "first": lambda: mlflow.pyfunc.load_model(first).predict(images),
    "other": lambda: 1 - mlflow.pyfunc.load_model(other).predict(images),
    "installed": installed,
}
found = [load[one]() for one in orders]
for one in found[1:]:
    np.testing.assert_allclose(one, found[0], atol=1e-6)
"""


@pytest.mark.parametrize("orders", ["first installed other", "installed other first"])
def test_models_of_two_versions_and_the_package_work_in_one_process_in_any_order(
    trained, tmp_path, logged, monkeypatch, orders
):
    first = logged("first")
    of_another_version(monkeypatch, tmp_path / "other")
    other = logged("other")
    np.save(tmp_path / "images.npy", IMAGES)
    places = [str(place) for place in (tmp_path / "images.npy", first, other, trained / "vae")]
    done = run_python(ORDERS, *places, orders, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_a_logged_model_brings_takes_nothing_from_the_package(tmp_path):
    package = write_code(tmp_path)
    texts = [path.read_text() for path in package.rglob("*.py")]
    assert len(texts) > 12
    assert not any(re.search(r"^ *(from|import) autoencoders[. ]", text, re.MULTILINE) for text in texts)
    assert write_code(tmp_path / "again").name == package.name


def test_a_result_that_is_not_finite_is_no_answer(trained):
    served = Reconstructor(trained / "vae")
    for values in served._model.state_dict().values():
        values.fill_(3e38)
    for output in OUTPUTS:
        with pytest.raises(MlflowException, match=r"^the model gives NaN or infinity"):
            served.predict(IMAGES, {"output": output})
