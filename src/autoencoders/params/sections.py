"""The sections of `params.yaml` that the pipeline's stages have; `params.yaml` says what each key means."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.errors import shown, suggestion
from autoencoders.files.reading import MAX_SIDE, Fit
from autoencoders.params.base import BatchSize, Count, Number, Rate, Section, Seed


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValueError(f"should be auto, cpu, cuda or cuda:N, found {shown(value)}")
    return value


def _size(value: Any) -> Any:
    sides = value if isinstance(value, list | tuple) else [value, value]
    fits = len(sides) == 2 and all(_whole(side) and 4 <= side <= MAX_SIDE for side in sides)
    if value is not None and not fits:
        allowed = f"a number from 4 to {MAX_SIDE}, or [height, width] of such"
        raise ValueError(f"should be {allowed}, found {shown(value)}")
    return tuple(value) if isinstance(value, list) else value


def _validation(value: Any) -> Any:
    if not (_whole(value) and value >= 1) and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError(f"should be a count from 1 on, or a share between 0 and 1, found {shown(value)}")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError(f"should not be blank, found {shown(value)}")
    return value


Fraction = Annotated[Number, Field(gt=0, lt=1)]
Device = Annotated[str, AfterValidator(_device)]

OWN_IMAGES = "images"


class Data(Section):
    """Which images, and where their files come from."""

    name: str = "mnist"
    mirror: str | None = None
    folder: str = OWN_IMAGES
    image_size: Annotated[int | tuple[int, int] | None, BeforeValidator(_size)] = None
    fit: Fit = "pad"
    channels: Literal[1, 3] | None = None
    max_unreadable: Annotated[Number, Field(ge=0, lt=1)] = 0.05

    @model_validator(mode="after")
    def _consistent(self) -> "Data":
        known = sorted((*CATALOG, FOLDER))
        if self.name not in known:
            raise ValueError(f"unknown data set {self.name!r}.{suggestion(self.name, known)} Known: {', '.join(known)}")
        if self.folder.startswith("~"):
            raise ValueError(f"`folder: {self.folder}`: write the whole path, DVC does not expand ~")
        if self.name != FOLDER and self.folder != OWN_IMAGES:
            raise ValueError(
                f"`folder: {self.folder}` goes with `name: folder`, found `name: {self.name}`. "
                f"Set `name: folder` for your own images, or `folder: {OWN_IMAGES}` again for the named set"
            )
        if self.name != FOLDER and (self.image_size or self.channels):
            raise ValueError("`image_size` and `channels` apply to `name: folder` only; named sets have their own")
        if self.name != FOLDER and self.fit != "pad":
            raise ValueError(
                f"`fit: {self.fit}` goes with `name: folder`, found `name: {self.name}`. The images of a named set all "
                "have its size: set `fit: pad` again"
            )
        return self


class Prepare(Section):
    """How images are split."""

    seed: Seed = 0
    validation: Annotated[int | float, BeforeValidator(_validation)] = 5000
    test: Fraction = 0.15


class Train(Section):
    """How models are trained."""

    seed: Seed = 0
    steps: Count = 1500
    batch_size: BatchSize = 256
    learning_rate: Rate = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    grad_clip: Annotated[Number, Field(gt=0)] | None = None
    patience: Count | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: StrictBool = False


class Features(Section):
    """The classifier whose features the Fréchet distance uses, and the number of images compared."""

    seed: Seed = 0
    epochs: Count = 5
    images: Annotated[int, Field(strict=True, ge=100, le=100_000)] = 10000


class Evaluate(Section):
    """What is measured on the test split."""

    seed: Seed = 0
    importance_samples: Count = 100
    importance_images: Count = 1000
    mixture_components: Count = 10


class Plots(Section):
    """What the figures show."""

    seed: Seed = 0
    images: Annotated[int, Field(strict=True, ge=2, le=32)] = 10
    grid: Annotated[int, Field(strict=True, ge=2, le=50)] = 15


class Tracking(Section):
    """Where runs are recorded."""

    experiment: Annotated[str, AfterValidator(_not_blank)] = "autoencoders"
