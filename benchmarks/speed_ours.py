"""This project as a contender: its own networks, batches and loop, with the training section of params.yaml."""

from contextlib import suppress

import numpy as np
import torch
from peers.course import Course, Reached, images
from speed_child import Options, Raw, child
from speed_step import CPU, default_settings, network

from autoencoders.data.batches import Batches
from autoencoders.training.device import resolve_precision
from autoencoders.training.loop import fit


def train(options: Options) -> list[Raw]:
    """Train `network` with params.yaml's settings, changed by `train`; stop where `target` is reached.

    Everything that the stage `train` does before and in training counts, but for checkpoints and MLflow.
    """
    of = images(options)
    settings = default_settings(**options["train"], seed=options["round"])
    model = network(options["network"], seed=options["round"])
    course = Course(options, model.posterior, model.decode)
    course.start()
    model.init_output_bias(torch.from_numpy(of.mean(axis=0, dtype=np.float64) / 255).float())
    batches, unused = Batches(of, settings.batch_size, CPU), Batches(of[:1], 1, CPU)
    with suppress(Reached):
        fit(model, batches, unused, settings, on_epoch=lambda row: course.epoch_ended())
    return course.rows(len(of), resolve_precision(settings.precision, CPU))


if __name__ == "__main__":
    child(train)
