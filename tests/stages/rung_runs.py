"""Rungs of the ladder, measured by their stage on tiny data."""

from pathlib import Path
from typing import Any

import numpy as np

from autoencoders.data.prepared import Split, write_prepared
from autoencoders.ladder.record import read_rung
from autoencoders.ladder.stories import render_story
from autoencoders.params import Params, parse_params
from autoencoders.stages.ladder import ladder

NOWHERE = Path("nowhere")
TINY = {
    "one_image": {"networks": [[8, 4], [2, 2]], "steps": 12},
    "one_hot": {"counts": [2, 8, 500], "latent": 3, "channels": [4, 2], "steps": 15},
    "auto_decoder": {"images": 50, "latent": 3, "channels": [4, 2], "epochs": 4, "batch_size": 20},
    "linear": {"latents": [1, 3], "epochs": 30, "batch_size": 10, "learning_rate": 0.01},
    "generation": {"images": 9},
    "beta": {
        "betas": [10, 0.1], "latent": 3, "hidden": [8], "decoder_hidden": [8], "images": 40, "epochs": 2,
        "batch_size": 20,
    },
}  # fmt: skip


def with_ladder(params: Params, **models: Any) -> Params:
    """The parameters with tiny rungs; of other models, where there are any."""
    raw = params.model_dump() | {"ladder": TINY}
    return parse_params(raw | {"models": models or raw["models"]})


def run_rung(
    name: str, params: Params, data: Path, out: Path, *, models: Path = NOWHERE, evaluation: Path = NOWHERE
) -> dict[str, Any]:
    """Measure a rung; return what rung.json holds."""
    ladder(params, name, data=data, models=models, evaluation=evaluation, out=out)
    return read_rung(out)


def story_of(folder: Path) -> list[str]:
    return list(render_story(read_rung(folder), folder).paragraphs)


def colour_without_labels(root: Path) -> Path:
    """Prepared data of images (3, 9, 6)."""
    random = np.random.default_rng(0)
    splits = {
        name: Split(random.integers(0, 256, (count, 3, 9, 6), dtype=np.uint8), None)
        for name, count in (("train", 12), ("val", 3), ("test", 3))
    }
    write_prepared(root, "colour", splits, None)
    return root
