"""`-S key=value` on the command line is read as params.yaml is."""

import pytest

from autoencoders.errors import UserError
from pipeline.overrides import overridden

MODELS = "models: {pca: {kind: pca, latent: 2}}\n"


def test_a_number_is_a_number_in_the_file_and_on_the_command_line(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(f"train: {{learning_rate: 1e-3}}\n{MODELS}")
    params = overridden(file, ["features.epochs=2", "train.grad_clip=5e-1"])
    assert (params.train.learning_rate, params.features.epochs, params.train.grad_clip) == (0.001, 2, 0.5)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(MODELS)
    with pytest.raises(UserError, match=r"^-S train=\{steps: 2, steps: 3\}: the value is not valid YAML"):
        overridden(file, ["train={steps: 2, steps: 3}"])
