"""Measuring a rung: the steps that all rungs share."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError, suggestion
from autoencoders.ladder.record import RUNGS, Result, check_folder, save_rung
from autoencoders.params import Params
from autoencoders.training.device import describe, make_deterministic, resolve_device


@dataclass(frozen=True)
class Inputs:
    """What a rung may use, and the device."""

    params: Params
    data: PreparedData
    device: torch.device
    models: Path  # folder of the trained models
    evaluation: Path  # folder of what was measured of them


def measure_rung(
    name: str, params: Params, *, data: Path, models: Path, evaluation: Path, out: Path, tags: Mapping[str, str]
) -> None:
    """Measure the rung `name`, one of `RUNGS`, and write the result to the folder `out`, with `tags`.

    Raise `UserError` where there is no such rung, or `out` holds anything but an earlier result of it.
    """
    if name not in RUNGS:
        raise UserError(f"There is no rung {name!r}.{suggestion(name, RUNGS)} Known: {', '.join(RUNGS)}")
    check_folder(out, name)
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    start = time.perf_counter()
    result: Result = import_module(f"autoencoders.ladder.{name.replace('-', '_')}.measure").measure(
        Inputs(params, prepared, device, models, evaluation)
    )
    seconds = time.perf_counter() - start
    save_rung(out, name, result, data=prepared.info, hardware=describe(device), seconds=seconds, tags=tags)
    print(f"{name}: {result.summary}")
