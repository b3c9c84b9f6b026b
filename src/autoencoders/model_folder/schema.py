"""The schemas of `model.json` and `run.json`: keys and allowed values."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from autoencoders.errors import UserError
from autoencoders.files.reading import Fit, FullScale, Side
from autoencoders.params.models import KINDS, AnyModel

FORMAT = 3
WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"
CONTENTS = (WEIGHTS, "model.json", HISTORY, "run.json")


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should hold no control characters")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_visible)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_visible)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Whole = Annotated[int, Field(ge=0, lt=2**63)]
Value = Annotated[float, Field(ge=-3e38, le=3e38)]
"""Within the range of float32, as MLflow, tables and figures need."""
Tags = dict[Name, Annotated[str, Field(max_length=5000), AfterValidator(_visible)]]  # of a run in MLflow


def no_model(folder: Path) -> UserError:
    """Return the error that says that `folder` holds no trained model."""
    return UserError(f"{folder} is no trained model (model.json is missing). Run the `train` stage first.")


class FileSection(BaseModel):
    """A section of a file; it may hold further keys, of a later version."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Dataset(FileSection):
    """Which images the model learned from."""

    name: Name
    content_hash: Name
    full_scale: FullScale = 65535
    fit: Fit = "crop"
    """Models of earlier versions, which do not say so, were trained on cropped images."""


class Anomaly(FileSection):
    """The thresholds of scores."""

    quantile: Annotated[float, Field(gt=0, lt=1)]
    mse: Annotated[Value, Field(ge=0)]
    neg_elbo: Value | None = None


class Description(FileSection):
    """What `model.json` holds."""

    format: Literal[3]  # FORMAT
    name: Name
    model: AnyModel
    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    """Channels, height, width."""
    dataset: Dataset
    train: dict[Name, Text | bool | Whole | Value | None] | None
    """None where the model was not trained in steps."""
    hardware: Text
    precision: Text | None = None
    best_step: Whole | None = None
    validation: dict[Name, Value]
    anomaly: Anomaly
    parameters: Whole
    weights_sha256: Hash

    @model_validator(mode="after")
    def _complete(self) -> "Description":
        has_elbo = KINDS[self.model.kind].has_posterior
        for metric in ("val/mse", *(["val/elbo"] if has_elbo else [])):
            if metric not in self.validation:
                raise ValueError(f"validation.{metric}: missing")
        if has_elbo and self.anomaly.neg_elbo is None:
            raise ValueError("anomaly.neg_elbo: missing")
        return self


class Reference(FileSection):
    """What `run.json` holds: the MLflow run that recorded the training, and its tags."""

    run_id: Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
    tags: Tags = {}
