import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.served import BATCH, Reconstructor
from autoencoders.stages.publish import publish
from autoencoders.tracking.logged_model import CODE
from autoencoders.trained import load_trained

IMAGES = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)

LOAD = """
import json, sys
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
import autoencoders
example = model.metadata.load_input_example()
signature = [spec.to_dict() for schema in (model.metadata.signature.inputs, model.metadata.signature.outputs)
             for spec in schema.inputs]
params = model.metadata.signature.params.to_dict()
print(json.dumps({"params": params, "code": autoencoders.__file__, "signature": signature, "refused": refused,
                  "example": [list(example.shape), str(example.dtype)]}))
"""


@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_predictions_are_the_decoded_codes_whatever_the_batch(trained: Path, name: str) -> None:
    model = load_trained(trained / name).model
    images = np.random.default_rng(1).random((BATCH + 1, 1, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = model.decode(model.encode(torch.from_numpy(images))).numpy()
    predicted = Reconstructor(trained / name).predict(images)
    assert (predicted.dtype, predicted.shape) == (np.float32, images.shape)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_the_parameter_output_asks_for_codes(trained: Path, name: str) -> None:
    images = np.random.default_rng(1).random((BATCH + 1, 1, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = load_trained(trained / name).model.encode(torch.from_numpy(images)).numpy()
    served = Reconstructor(trained / name)
    np.testing.assert_allclose(served.predict(images, {"output": "codes"}), expected, atol=1e-6)
    again = served.predict(images, {"output": "reconstructions"})
    np.testing.assert_array_equal(again, served.predict(images))
    with pytest.raises(UserError, match=r"params.output must be one of reconstructions, codes, found 'labels'\.$"):
        served.predict(images, {"output": "labels"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.5, 255.0])
def test_images_out_of_range_are_refused(trained: Path, value: float) -> None:
    images = IMAGES.copy()
    images[3, 0, 2, 2] = value
    with pytest.raises(UserError, match=r"^images must be floats in \[0, 1\], found values from "):
        Reconstructor(trained / "vae").predict(images)


def test_a_logged_model_brings_its_code_its_signature_and_an_example(
    trained: Path, params: Params, client: MlflowClient, tmp_path: Path
) -> None:
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
    assert [(one["name"], one["type"], one["default"]) for one in told["params"]] == [
        ("output", "string", "reconstructions")
    ]
    assert told["refused"]
    assert told["example"] == [[2, 1, 8, 8], "float32"]
    assert "mlartifacts" in told["code"], "the model was loaded with the installed package, not with what it brings"
    brought = {path.name for path in Path(told["code"]).parent.iterdir()} - {"__pycache__"}
    assert brought == set(CODE)
