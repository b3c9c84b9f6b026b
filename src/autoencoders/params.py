"""Typed, validated sections of `params.yaml`; the only reader of that file.

Every key's meaning stands in `params.yaml` itself; this module holds types, ranges and contradictions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from autoencoders.errors import UserError, suggestion

Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Size = Annotated[int, Field(strict=True, ge=4, le=1024)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


OWN_IMAGES = "images"


class Data(Section):
    """Which images, and where their files come from."""

    name: str = "mnist"
    mirror: str | None = None
    folder: str = OWN_IMAGES
    image_size: Size | tuple[Size, Size] | None = None
    channels: Literal[1, 3] | None = None
    max_unreadable: Annotated[float, Field(ge=0, lt=1)] = 0.05

    @model_validator(mode="after")
    def _consistent(self) -> "Data":
        from autoencoders.data.catalog import known_names

        names = known_names()
        if self.name not in names:
            raise ValueError(
                f"unknown data set {self.name!r}.{suggestion(self.name, names)} Known: {', '.join(sorted(names))}"
            )
        if self.name != "folder" and self.folder != OWN_IMAGES:
            raise ValueError(
                f"`folder: {self.folder}` goes with `name: folder`, found `name: {self.name}`. "
                f"Set `name: folder` for your own images, or `folder: {OWN_IMAGES}` again for the named set"
            )
        if self.name != "folder" and (self.image_size or self.channels):
            raise ValueError("`image_size` and `channels` apply to `name: folder` only; named sets have their own")
        return self


class Prepare(Section):
    """How images are split."""

    seed: Seed = 0
    validation: Count | Fraction = 5000
    test: Fraction = 0.15


class TrainOverrides(Section):
    """Training settings that one model may set differently; None means: as in `train`."""

    epochs: Count | None = None
    batch_size: Count | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None


class Train(Section):
    """How models are trained."""

    seed: Seed = 0
    epochs: Count = 20
    batch_size: Count = 256
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    grad_clip: Annotated[float, Field(gt=0)] | None = None
    patience: Count | None = None
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False

    def overridden(self, overrides: TrainOverrides) -> "Train":
        """Return these settings with those that `overrides` sets."""
        return self.model_copy(update=overrides.model_dump(exclude_none=True))


class Pca(Section):
    """Principal component analysis, exact."""

    kind: Literal["pca"]
    latent: Count


DEFAULT_HIDDEN = {"mlp": [512, 512], "conv": [32, 64]}


def _default_hidden(data: dict[str, Any]) -> list[int]:
    return DEFAULT_HIDDEN[data.get("arch", "mlp")]


class _Network(Section):
    latent: Count
    arch: Literal["mlp", "conv"] = "mlp"
    hidden: Annotated[list[Count], Field(min_length=1, max_length=8)] = Field(default_factory=_default_hidden)
    """Widths (mlp) or channels (conv) of the encoder."""
    decoder_hidden: Annotated[list[Count], Field(min_length=1, max_length=8)] | None = None
    """The decoder's, from the code to the image; None: the encoder's in reverse."""
    train: TrainOverrides = TrainOverrides()


class Autoencoder(_Network):
    """A deterministic autoencoder."""

    kind: Literal["autoencoder"]
    loss: Literal["mse", "bce"] = "mse"


class Vae(_Network):
    """A variational autoencoder."""

    kind: Literal["vae"]
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    beta: Annotated[float, Field(ge=0, le=1e4)] = 1.0
    kl_warmup: Annotated[int, Field(strict=True, ge=0)] = 0


ModelParams = Annotated[Pca | Autoencoder | Vae, Field(discriminator="kind")]


class Features(Section):
    """The classifier whose features the Fréchet distance uses."""

    seed: Seed = 0
    epochs: Count = 5


class Evaluate(Section):
    """What is measured on the test split."""

    seed: Seed = 0
    importance_samples: Count = 100
    importance_images: Count = 1000
    generated: Annotated[int, Field(strict=True, ge=100)] = 10000
    mixture_components: Count = 10


class Plots(Section):
    """What the figures show."""

    seed: Seed = 0
    images: Annotated[int, Field(strict=True, ge=2, le=32)] = 10
    grid: Annotated[int, Field(strict=True, ge=2, le=50)] = 15


Channels = Annotated[list[Count], Field(min_length=1, max_length=8)]


class OneImageRung(Section):
    """Networks that each store one picture."""

    networks: Annotated[list[Channels], Field(min_length=1, max_length=8)] = [[4, 4], [8, 8], [16, 16], [48, 48]]
    steps: Annotated[int, Field(strict=True, ge=10)] = 600
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.003


class OneHotRung(Section):
    """One network for several pictures, each with a one-hot input."""

    counts: Annotated[list[Count], Field(min_length=1, max_length=8)] = [4, 16, 64, 256]
    latent: Count = 16
    channels: Channels = [16, 8]
    steps: Annotated[int, Field(strict=True, ge=10)] = 300
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01


class AutoDecoderRung(Section):
    """Random vectors against learned ones."""

    images: Annotated[int, Field(strict=True, ge=2)] = 1024
    latent: Count = 16
    channels: Channels = [32, 16]
    epochs: Count = 40
    batch_size: Count = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03


class LinearRung(Section):
    """The linear autoencoder beside PCA."""

    latents: Annotated[list[Count], Field(min_length=1, max_length=8)] = [2, 16]
    epochs: Count = 6
    batch_size: Count = 256
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01


class GenerationRung(Section):
    """What the autoencoder and the VAE draw."""

    images: Annotated[int, Field(strict=True, ge=4, le=100)] = 36


class BetaRung(Section):
    """One small VAE for each weight of the KL."""

    betas: Annotated[list[Annotated[float, Field(gt=0, le=1e4)]], Field(min_length=2, max_length=12)] = [
        0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0
    ]  # fmt: skip
    latent: Count = 16
    hidden: Annotated[list[Count], Field(min_length=1, max_length=8)] = [256]
    decoder_hidden: Annotated[list[Count], Field(min_length=1, max_length=8)] = [256]
    images: Count = 8_000
    epochs: Count = 5
    batch_size: Count = 128
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-3


class Ladder(Section):
    """The rungs from a stored picture to the VAE."""

    seed: Seed = 0
    one_image: OneImageRung = OneImageRung()
    one_hot: OneHotRung = OneHotRung()
    auto_decoder: AutoDecoderRung = AutoDecoderRung()
    linear: LinearRung = LinearRung()
    generation: GenerationRung = GenerationRung()
    beta: BetaRung = BetaRung()


class Tracking(Section):
    """Where runs are recorded."""

    experiment: Annotated[str, StringConstraints(min_length=1)] = "autoencoders"


class Params(Section):
    """The whole of `params.yaml`."""

    data: Data = Data()
    prepare: Prepare = Prepare()
    train: Train = Train()
    models: Annotated[dict[ModelName, ModelParams], Field(min_length=1)]
    features: Features = Features()
    evaluate: Evaluate = Evaluate()
    plots: Plots = Plots()
    ladder: Ladder = Ladder()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        for name, model in self.models.items():
            if isinstance(model, Vae) and model.kl_warmup > self.training_of(name).epochs:
                raise ValueError(f"models.{name}.kl_warmup is longer than its training ({model.kl_warmup} epochs)")
        return self

    def model(self, name: str) -> Pca | Autoencoder | Vae:
        """Return the entry `name` of `models`; raises `UserError` where there is none."""
        try:
            return self.models[name]
        except KeyError:
            raise UserError(
                f"params.yaml has no model {name!r}.{suggestion(name, self.models)} Known: {', '.join(self.models)}"
            ) from None

    def training_of(self, name: str) -> Train:
        """Return the training settings of the model `name`, its own overrides applied."""
        model = self.model(name)
        return self.train if isinstance(model, Pca) else self.train.overridden(model.train)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `path`; raises `UserError` that lists every problem with its key's path."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Run from the repository root, or name another with --params."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, Mapping):
        raise UserError(f"{path} must hold sections such as `data:` and `models:`, found {type(raw).__name__}.")
    return parse_params(raw, source=str(path))


def parse_params(raw: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Validate a mapping shaped like `params.yaml`."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = [_describe(problem, raw) for problem in error.errors()]
        raise UserError(f"{source}: " + "; ".join(dict.fromkeys(lines))) from error


_MODEL_TAGS = {"pca": Pca, "autoencoder": Autoencoder, "vae": Vae}


def _describe(problem: Any, raw: Mapping[str, Any]) -> str:
    """One problem as `key.path: what is wrong (value)`, with the nearest known key for a misspelt one."""
    loc = [part for part in problem["loc"] if isinstance(part, int) or _is_key(part, problem["loc"], raw)]
    path = ".".join(str(part) for part in loc) or "file"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"])
        return f"{path}: unknown key.{suggestion(str(loc[-1]), known)} Known here: {', '.join(sorted(known))}"
    if problem["type"] == "missing":
        return f"{path}: missing"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if problem["type"] == "value_error":
        return f"{path}: {message}" if path != "file" else message
    if "tag" in problem["type"]:
        kind = problem["input"].get("kind") if isinstance(problem["input"], Mapping) else None
        hint = suggestion(str(kind), _MODEL_TAGS) if kind else ""
        return f"{path}.kind: must be one of {', '.join(_MODEL_TAGS)}, found {kind!r}.{hint}"
    return f"{path}: {message}, found {problem['input']!r}"


def _is_key(part: str, loc: tuple[Any, ...], raw: Any) -> bool:
    """Tell the file's own keys in a pydantic location from the names of union members."""
    node = raw
    for step in loc[: loc.index(part)]:
        if isinstance(node, Mapping) and step in node:
            node = node[step]
    in_file = isinstance(node, Mapping) and part in node
    is_field = loc[-1] == part and not any(c in part for c in "[(") and part not in _MODEL_TAGS and part not in _TYPES
    return in_file or is_field


_TYPES = {"int", "float", "constrained-int", "constrained-float", "list"}


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    section: Any = Params
    for part in loc[:-1]:
        if part in _MODEL_TAGS:
            section = _MODEL_TAGS[part]
        elif part in section.model_fields:
            annotation = section.model_fields[part].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
    return list(section.model_fields)
