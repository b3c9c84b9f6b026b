"""Measure a rung of the ladder, from a network that stores one picture to the VAE."""

from pathlib import Path
from tempfile import TemporaryDirectory

from autoencoders import tracking
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.run import measure_rung
from autoencoders.params import Params
from autoencoders.stages.publish import rung_result


def ladder(params: Params, rung: str, *, data: Path, models: Path, evaluation: Path, out: Path) -> None:
    """Measure a rung of the ladder, and write its numbers and arrays to `out`.

    Its figure is drawn from these by `plots`, its story told by `report`. Trained models, and what was measured of
    them, are read by the rungs that are about them. A launcher that made a run for this stage alone has it recorded at
    once.
    """
    folders = {"data": data, "models": models, "evaluation": evaluation, "out": out}
    measure_rung(rung, params, **folders, tags=tracking.run_context())
    if tracking.launched_alone():
        with TemporaryDirectory() as scratch, tracking.RunPublisher(params.tracking.experiment) as runs:
            figure = Path(scratch) / "figure.png"
            draw_rung(out, figure)
            runs.log_rung(rung_result(out, figure), own=True)
