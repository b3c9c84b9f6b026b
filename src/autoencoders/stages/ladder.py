"""Measure a rung of the ladder, from a network that stores one picture to the VAE."""

from pathlib import Path

from autoencoders import tracking
from autoencoders.ladder.run import measure_rung
from autoencoders.params import Params
from autoencoders.stages.recording import record_own_rung


def ladder(params: Params, rung: str, *, data: Path, models: Path, evaluation: Path, out: Path) -> None:
    """Measure a rung of the ladder, and write its numbers and arrays to `out`.

    `plots` draws its figure from these, and `report` fills its story with them. Only the rungs about trained models
    read `models` and `evaluation`. Where a launcher made a run for this stage alone, the rung is recorded in it.
    """
    folders = {"data": data, "models": models, "evaluation": evaluation, "out": out}
    measure_rung(rung, params, **folders, tags=tracking.run_context())
    record_own_rung(params.tracking.experiment, out)
