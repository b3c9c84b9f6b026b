"""Measure a rung of the ladder, from a network that stores one picture to the VAE."""

from pathlib import Path

from autoencoders import tracking
from autoencoders.ladder.run import measure_rung
from autoencoders.params import Params


def ladder(params: Params, rung: str, *, data: Path, models: Path, evaluation: Path, out: Path) -> None:
    """Measure a rung of the ladder, and write its numbers and arrays to `out`.

    Its figure is drawn from these by `plots`, its story told by `report`. Trained models, and what was measured of
    them, are read by the rungs that are about them.
    """
    folders = {"data": data, "models": models, "evaluation": evaluation, "out": out}
    measure_rung(rung, params, **folders, tags=tracking.run_context())
    tracking.log_own_rung(params.tracking.experiment, out)
