"""Pictures to give to a trained model, and the command line called in this process."""

from pathlib import Path

import numpy as np
import pytest
from calling import COUNT, Done, Run
from PIL import Image

from autoencoders import cli
from autoencoders.data.prepared import PreparedData


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Run:
    """Call `autoencoders …` in an empty folder: no params.yaml, no data."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        return Done(int(caught.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def pixels(prepared) -> np.ndarray:
    """The first test images, uint8 (COUNT, 1, 8, 8)."""
    return np.array(PreparedData(prepared).split("test").images[:COUNT])


@pytest.fixture
def pictures(tmp_path, pixels) -> Path:
    """A folder of them as PNGs, half of them in a subfolder."""
    folder = tmp_path / "pictures"
    for i, image in enumerate(pixels):
        path = folder / ("a" if i < 3 else "b") / f"number-{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return folder
