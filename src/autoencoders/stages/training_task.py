"""The training as one of its processes runs it: the model, the data and the fit."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.data.prepared import PreparedData
from autoencoders.data.principal_components import PrincipalComponents
from autoencoders.errors import Interrupted
from autoencoders.models import Model, count_numbers, n_components, parameter_shapes
from autoencoders.params import ModelParams, Params, Train
from autoencoders.runtime.process import print_to_stderr, raise_if_stopped
from autoencoders.runtime.progress import TrainingProgress
from autoencoders.tracking import ModelRun
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.device import describe
from autoencoders.training.distributed import World
from autoencoders.training.fitting import fit_in_closed_form, fit_in_steps
from autoencoders.training.loop import HistoryRow

Array = NDArray[np.float32]
N_RECONSTRUCTED = 8
"""Images of the validation split that MLflow shows with their reconstructions, by step."""
FLOAT32_BYTES = 4  # of a weight
N_WEIGHT_COPIES = 5
"""In memory while a network is trained: weights, gradients, Adam's two averages, and the best weights so far."""


@dataclass(frozen=True)
class TrainingTask:
    """The training of the entry `name` of `params.models`."""

    params: Params
    name: str
    data: PreparedData
    device: torch.device
    world: World

    @property
    def entry(self) -> ModelParams:
        """The model's entry in params.yaml."""
        return self.params.model(self.name)

    @property
    def settings(self) -> Train:
        """The training settings, with the model's own overrides."""
        return self.params.training_of(self.name)

    @cached_property
    def components(self) -> PrincipalComponents:
        """As many principal components of the training images as the model needs to begin."""
        return self.data.principal_components(n_components(self.entry, self.data.info.shape))

    def least_memory(self) -> int:
        """Return how many bytes of this machine's memory the training needs at least."""
        size = FLOAT32_BYTES * count_numbers(parameter_shapes(self.entry, self.data.info.shape))
        return size * (N_WEIGHT_COPIES if self.entry.trained_in_steps and self.device.type == "cpu" else 1)

    def description(self) -> dict[str, Any]:
        """Return what `model.json` says before the training."""
        return {
            "name": self.name,
            "model": self.entry.model_dump(),
            "shape": self.data.info.shape,
            "dataset": self.data.info.identity,
            "train": self.settings.model_dump() if self.entry.trained_in_steps else None,
            "hardware": describe(self.device, self.world.size),
        }

    def fit(
        self,
        network: Model,
        checkpoint: Checkpoint | None = None,
        saved: dict[str, Any] | None = None,
        run: ModelRun | None = None,
    ) -> tuple[list[HistoryRow], dict[str, Any]]:
        """Find the weights of `network`; return the history, and what `model.json` says of the result.

        Resume from the state `saved`. The main process alone has a `checkpoint` and a `run`, and shows progress.
        """
        images, validation = (self.data.split(split).images for split in ("train", "val"))
        if not self.entry.trained_in_steps:
            return [], fit_in_closed_form(network, self.components, validation)
        settings, parent = self.settings, os.getppid()
        begun = saved["progress"]["step"] if saved else 0
        quarter = 4 * begun // settings.steps if saved else -1
        progress = TrainingProgress(self.name, settings.steps, begun=begun, disable=run is None)
        if run and settings.batch_size > len(images):
            print_to_stderr(
                f"{self.name}: batch_size {settings.batch_size:,} is more than there are: each step takes all "
                f"{len(images):,} training images"
            )

        if run and network.scores is not None:
            print_to_stderr(
                f"{self.name}: the mlp works on the first {network.n_components} principal components of the images, "
                "which have many pixels (arch: conv works on these)"
            )

        def on_validation(row: HistoryRow) -> None:
            nonlocal quarter
            progress.on_validation(row)
            if run:
                run.log_validation(row)
                reached = 4 * int(row["step"]) // settings.steps
                if reached > quarter:  # five times, at the beginning and the end, too
                    quarter = reached
                    run.log_reconstructions(*self._reconstructed(network, validation), step=int(row["step"]))
            if "DVC_STAGE" in os.environ and os.getppid() != parent:
                stops = f"training {self.name} stops after step {row['step']:,}"
                raise Interrupted(f"{stops}: the `dvc` that started it is gone. `dvc repro` resumes it.")

        def on_batch() -> None:
            raise_if_stopped()
            progress.on_batch()
            if run:
                run.raise_if_not_open()

        options = {"checkpoint": checkpoint, "resume": saved, "on_validation": on_validation, "on_batch": on_batch}
        with progress:
            return fit_in_steps(
                network, self.components, images, validation, settings, self.device, world=self.world, **options
            )

    def _reconstructed(self, network: Model, images: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Return the first of `images`, and what `network` makes of them: float32 (n, C, H, W) in [0, 1] each."""
        x = torch.from_numpy(images[:N_RECONSTRUCTED].astype(np.float32) / 255)
        # another batch size would have a compiled network compiled anew
        eager = torch.compiler.set_stance("force_eager") if self.settings.compile else nullcontext()
        with torch.inference_mode(), eager:
            made = network.decode(network.encode(x.to(self.device))).clamp(0, 1)
        return x.numpy(), made.cpu().numpy()
