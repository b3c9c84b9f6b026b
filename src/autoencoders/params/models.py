"""A model's entry in `params.yaml`, one class a kind of model, and the registry of all kinds.

A new kind is a class here with its line in `KINDS`, and a file in `models/`.
"""

from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from autoencoders.params.base import BatchSize, Count, Number, PositiveInts, Rate, Section

if TYPE_CHECKING:
    from autoencoders.params.sections import Train


class TrainOverrides(Section):
    """Training settings that one model may set differently; None means: as in `train`."""

    steps: Count | None = None
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None


class ModelParams(Section):
    """What the entry of every model has."""

    trained_in_steps: ClassVar[bool] = False
    """Whether the weights are found by steps; else the model's `initialise` sets them for good."""

    kind: str
    latent: Count

    @property
    def begins_at_pca(self) -> bool:
        """Whether it has a linear part that begins as PCA, and networks that add to it."""
        return False

    @property
    def pca_advice(self) -> str:
        """What helps a model whose squared error is above PCA's."""
        return "more training images"

    def training(self, common: "Train") -> "Train":
        """Return the training settings of this model, given those of the section `train`."""
        return common

    @property
    def comparable(self) -> str | None:
        """A value that two models must share for their ELBOs to be comparable; None for models without an ELBO."""
        return None


class Pca(ModelParams):
    """Principal component analysis, exact."""

    kind: Literal["pca"] = "pca"


DEFAULT_HIDDEN = {"mlp": [512, 512], "conv": [32, 64]}


class Network(ModelParams):
    """What the entries of networks share."""

    trained_in_steps: ClassVar[bool] = True

    arch: Literal["mlp", "conv"] = "mlp"
    hidden: PositiveInts = Field(default_factory=lambda given: DEFAULT_HIDDEN[given.get("arch", "mlp")])
    """Widths (mlp) or channels (conv) of the encoder."""
    decoder_hidden: PositiveInts | None = None
    """The decoder's, from the code to the image; None: the encoder's in reverse."""
    train: TrainOverrides = TrainOverrides()

    @property
    def begins_at_pca(self) -> bool:
        """Else its decoder returns logits of the pixels."""
        return True

    def training(self, common: "Train") -> "Train":
        """Return the settings of the section `train` with this model's own in their place."""
        return common.model_copy(update=self.train.model_dump(exclude_none=True))


class Autoencoder(Network):
    """A deterministic autoencoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    loss: Literal["mse", "bce"] = "mse"

    @property
    def begins_at_pca(self) -> bool:
        """With the squared error."""
        return self.loss == "mse"

    @property
    def pca_advice(self) -> str:
        """`bce` begins at random weights."""
        longer = "more train.steps, a larger `hidden`, or `loss: mse`, which begins as PCA"
        return super().pca_advice if self.begins_at_pca else longer


def _share_of_steps(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(
            "is a share of all steps, from 0 up to 1, no longer a number of epochs: write 0.12 for 1 of 8 epochs, "
            f"found {value:g}"
        )
    return value


class Vae(Network):
    """A variational autoencoder."""

    kind: Literal["vae"] = "vae"
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli"
    beta: Annotated[Number, Field(ge=0, le=1e4)] = 1.0
    kl_warmup: Annotated[Number, AfterValidator(_share_of_steps)] = 0.0

    @property
    def begins_at_pca(self) -> bool:
        """With the Gaussian and the logistic likelihood."""
        return self.likelihood != "bernoulli"

    @property
    def pca_advice(self) -> str:
        """The KL costs accuracy, and `bernoulli` begins at random weights."""
        longer = (
            "a smaller `beta`, more train.steps, a larger `hidden`, or `likelihood: gaussian` or `logistic`, which "
            "begin as PCA"
        )
        return "a smaller `beta`" if self.begins_at_pca else longer

    @property
    def comparable(self) -> str:
        """The likelihood: a cross-entropy, a density and a probability cannot be compared."""
        return self.likelihood


@dataclass(frozen=True)
class Kind:
    """What the pipeline needs to know about a kind of model."""

    params: type[ModelParams]
    """Its entry in `params.yaml`; the default of the field `kind` is the kind's name."""
    model: str
    """The model's class as `module:name` in this package, imported when one is built: reading this needs no torch."""
    label: str
    """Its name in tables."""
    has_posterior: bool
    """Whether an image's code is a distribution, so that there are KL and ELBO."""
    can_sample: bool
    """Whether images are drawn from codes z ~ N(0, I)."""

    @property
    def name(self) -> str:
        """As `params.yaml` has it."""
        return str(self.params.model_fields["kind"].default)

    def load(self) -> Any:
        """Import and return the model's class."""
        module, _, name = self.model.partition(":")
        return getattr(import_module(f"..{module}", __package__), name)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(Pca, "models.pca:PCA", "PCA", has_posterior=False, can_sample=False),
        Kind(Autoencoder, "models.autoencoder:Autoencoder", "AE", has_posterior=False, can_sample=True),
        Kind(Vae, "models.vae:VAE", "VAE", has_posterior=True, can_sample=True),
    )
}

if TYPE_CHECKING:
    AnyModel = ModelParams
else:
    AnyModel = Annotated[reduce(or_, (kind.params for kind in KINDS.values())), Field(discriminator="kind")]
"""An entry of any kind, read as the one that its `kind` names."""
