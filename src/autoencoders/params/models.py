"""A model's entry in `params.yaml`, one class a kind of model, and the registry of all kinds.

A new kind is a class here with its line in `KINDS`, and a file in `models/`.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from autoencoders.params.base import BatchSize, Count, Number, Rate, Section, Widths


class TrainOverrides(Section):
    """Training settings that one model may set differently; None means: as in `train`."""

    epochs: Count | None = None
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None


class ModelParams(Section):
    """What the entry of every model has."""

    kind: str
    latent: Count

    @property
    def comparable(self) -> str | None:
        """What the ELBOs of two models must have in common to compare; None for models without one."""
        return None


class Pca(ModelParams):
    """Principal component analysis, exact."""

    kind: Literal["pca"]


DEFAULT_HIDDEN = {"mlp": [512, 512], "conv": [32, 64]}


def _default_hidden(data: dict[str, Any]) -> list[int]:
    return DEFAULT_HIDDEN[data.get("arch", "mlp")]


class Network(ModelParams):
    """What the entries of networks share."""

    arch: Literal["mlp", "conv"] = "mlp"
    hidden: Widths = Field(default_factory=_default_hidden)
    """Widths (mlp) or channels (conv) of the encoder."""
    decoder_hidden: Widths | None = None
    """The decoder's, from the code to the image; None: the encoder's in reverse."""
    train: TrainOverrides = TrainOverrides()


class Autoencoder(Network):
    """A deterministic autoencoder."""

    kind: Literal["autoencoder"]
    loss: Literal["mse", "bce"] = "mse"


class Vae(Network):
    """A variational autoencoder."""

    kind: Literal["vae"]
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    beta: Annotated[Number, Field(ge=0, le=1e4)] = 1.0
    kl_warmup: Annotated[int, Field(strict=True, ge=0)] = 0

    @property
    def comparable(self) -> str:
        """The likelihood: probabilities and densities are not of one kind."""
        return self.likelihood


@dataclass(frozen=True)
class Kind:
    """What all of the pipeline has to know of a kind of model."""

    params: type[ModelParams]
    """Its entry in `params.yaml`, whose field `kind` is a literal: the kind's name."""
    model: str
    """The model's class as `module:name`, imported when one is built: this table is read without torch."""
    label: str
    """Its name in tables."""
    has_posterior: bool
    """Whether an image's code is a distribution, so that there are KL and ELBO."""
    can_sample: bool
    """Whether images are drawn from codes z ~ N(0, I)."""

    @property
    def name(self) -> str:
        """As `params.yaml` has it."""
        return str(self.params.model_fields["kind"].annotation.__args__[0])  # type: ignore[union-attr]

    def load(self) -> Any:
        """Import and return the model's class."""
        return resolve_name(self.model)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(Pca, "autoencoders.models.pca:PCA", "PCA", has_posterior=False, can_sample=False),
        Kind(Autoencoder, "autoencoders.models.autoencoder:Autoencoder", "AE", has_posterior=False, can_sample=True),
        Kind(Vae, "autoencoders.models.vae:VAE", "VAE", has_posterior=True, can_sample=True),
    )
}

if TYPE_CHECKING:
    AnyModel = ModelParams
else:
    AnyModel = Annotated[reduce(or_, (kind.params for kind in KINDS.values())), Field(discriminator="kind")]
"""An entry of any kind, read as the one that its `kind` names."""
