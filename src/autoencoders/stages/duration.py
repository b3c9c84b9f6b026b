"""What a run trains, and how long it takes, roughly.

Some steps of each training are timed. The rest of the run follows from the speed of the machine.
"""

import time
from collections.abc import Callable, Mapping
from math import prod

import torch

from autoencoders.errors import UserError, counted
from autoencoders.models import Model
from autoencoders.models.blocks import Shape
from autoencoders.models.factory import build
from autoencoders.params import KINDS, Autoencoder, ModelParams, Params, Train
from autoencoders.training.device import describe, resolve_device
from autoencoders.training.loop import make_loss
from autoencoders.training.optimiser import Adam

STEPS, SECONDS = 5, 0.2
"""A model's steps are timed until there are so many, or they took so long. The fastest counts."""
SCALING = 0.7
"""Threads to this power are so many times as fast as one."""
MAX_VALUES = 2**22
"""Values of a batch that is timed; a larger one takes longer in proportion."""
VALIDATIONS = 1.2
"""A training with its validations, divided by its steps alone."""
REFERENCE = Autoencoder(latent=16, hidden=[512], decoder_hidden=[512, 512])
"""Its steps on images of MNIST, on the CPU, measure the speed of the machine."""
OTHER_STEPS, STEPS_PER_MODEL = 8000, 1000
"""Such steps that take as long as all other stages together, and those of a model beside its training.

Measured on 2 cores: a whole run on MNIST. Few images make the other stages shorter, large ones longer.
"""


def describe_run(params: Params, shape: Shape) -> list[str]:
    """Return lines that say which models are trained on images of `shape` (C, H, W), and about how long a run takes.

    Raise `UserError` where a model cannot fit such images.
    """
    device = resolve_device(params.device)
    trainings = training_seconds(params, shape, device)
    lines = []
    for name, seconds in trainings.items():
        entry, settings = params.models[name], params.training_of(name)
        line = f"  {name}: {KINDS[entry.kind].label}, {counted(entry.latent, 'number')} for an image"
        batches = f"{counted(settings.steps, 'step')} of up to {counted(settings.batch_size, 'image')}"
        steps = f", {batches}, about {_rounded(seconds)}"
        lines.append(line + (steps if entry.trained_in_steps else ""))
    total, hardware = sum(trainings.values()) + other_seconds(params.models), describe(device)
    return [*lines, f"A run from the start takes about {_rounded(total)} ({hardware}), if nothing else runs here."]


def _rounded(seconds: float) -> str:
    """Return a duration in one unit."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length):,} {unit}s"
    return counted(max(1, round(seconds)), "second") if seconds < 60 else "1 minute"


def training_seconds(params: Params, shape: Shape, device: torch.device) -> dict[str, float]:
    """Return about how long each model trains on images of `shape` (C, H, W).

    Raise `UserError` where a model cannot fit such images.
    """
    seconds = {}
    for name, model in build_models(params, shape).items():
        settings = params.training_of(name)
        seconds[name] = 0.0
        if params.models[name].trained_in_steps:
            seconds[name] = VALIDATIONS * settings.steps * seconds_per_step(model, settings, device)
    return seconds


def build_models(params: Params, shape: Shape) -> dict[str, Model]:
    """Return each model for images of `shape` (C, H, W); raise `UserError` where one cannot fit them."""
    models = {}
    for name, entry in params.models.items():
        try:
            models[name] = build(entry, shape)
        except UserError as error:
            raise UserError(f"models.{name}: {error}") from None
    return models


def other_seconds(models: Mapping[str, ModelParams]) -> float:
    """Return about how long everything but the trainings takes."""
    step = seconds_per_step(build(REFERENCE, (1, 28, 28)), Train(), torch.device("cpu"))
    return (OTHER_STEPS + STEPS_PER_MODEL * len(models)) * step


def seconds_per_step(model: Model, settings: Train, device: torch.device) -> float:
    """Return how long a step of a training takes where nothing else computes, with random images.

    On a CPU, the seconds of one thread are counted, which do not grow while other programs run.
    """
    threads = torch.get_num_threads()
    if device.type == "cuda":
        return _fastest(model, settings, device, time.perf_counter)
    torch.set_num_threads(1)
    try:
        return _fastest(model, settings, device, time.process_time) / threads**SCALING
    finally:
        torch.set_num_threads(threads)


def _fastest(model: Model, settings: Train, device: torch.device, clock: Callable[[], float]) -> float:
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in the loop
    sides = (model.n_components,) if model.inputs else model.shape
    images = max(1, min(settings.batch_size, MAX_VALUES // prod(sides)))
    generator = torch.Generator(device).manual_seed(0)
    x = torch.rand(images, *sides, generator=generator, device=device)
    loss = make_loss(model, settings.model_copy(update={"compile": False}), device)
    optimiser = Adam(model.parameters())

    def timed() -> float:
        begun = clock()
        optimiser.zero_grad()
        losses = loss(x, model.sample_noise(images, generator), model.loss_weights(1.0))
        losses["loss"].backward()
        optimiser.step(1e-6)
        losses["loss"].item()  # waits for the device
        return clock() - begun

    timed()  # the first one allocates
    taken = [timed()]
    while len(taken) < STEPS and sum(taken) < SECONDS:
        taken.append(timed())
    return min(taken) * settings.batch_size / images
