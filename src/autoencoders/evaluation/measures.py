"""All measures, one entry each: how tables, report, documentation and MLflow present them.

A new measure is an entry here and the line of `model_evaluation.py` that computes it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from autoencoders.text import format_number, format_tenths, join_words

if TYPE_CHECKING:
    from autoencoders.params import ModelParams


@dataclass(frozen=True)
class Measure:
    """A number that describes a model."""

    key: str
    """Its name in `metrics.json` and `comparison.csv`; in MLflow after `test/`."""
    heading: str
    unit: str
    """Empty if it has none."""
    better: Literal["lower", "higher"] | None
    """None if neither is better by itself."""
    meaning: str
    """An explanation for readers."""
    format: Callable[[float], str] = format_number
    short: str = ""
    """A shorter heading for narrow tables, if there is one."""
    models: Literal["all", "posterior", "discretised", "labelled"] = "all"
    """Which models have it: all, those whose codes are distributions, those of them whose likelihood is of 8-bit
    pixels, or those whose images have labels."""
    source: Literal["evaluate", "compare"] = "evaluate"
    """The stage that computes it."""
    compared: bool = False
    """Whether the text of the comparison has this column; `comparison.csv` has all."""


MEASURES = {
    measure.key: measure
    for measure in (
        Measure(
            "latent", "Latent", "numbers", None,
            "How many numbers an image is stored in: the length of its code z.",
            "{:.0f}".format, short="latent", source="compare", compared=True,
        ),
        Measure(
            "mse_over_pca", "MSE / PCA", "", "lower",
            "The MSE divided by that of PCA with as many numbers, on the same images. Above 1 the model is worse than "
            "PCA.",
            "{:.3f}".format, compared=True,
        ),
        Measure(
            "mse", "MSE", "per pixel", "lower",
            "Mean squared error between test images and their reconstructions, pixels in [0, 1].",
            "{:.5f}".format, compared=True,
        ),
        Measure(
            "bce", "BCE", "nats per image", "lower",
            "Binary cross-entropy of the reconstruction. On grey pixels it is no likelihood.",
        ),
        Measure(
            "ssim", "SSIM", "", "higher",
            "Structural similarity of test images and reconstructions: 1 where they are equal. Edges and texture "
            "count more than exact brightness.",
            "{:.3f}".format, compared=True,
        ),
        Measure(
            "psnr", "PSNR", "dB", "higher",
            "Peak signal-to-noise ratio of the reconstructions, mean over images.",
        ),
        Measure(
            "recon", "Reconstruction", "nats per image", "lower",
            "The ELBO's first term: −log p(x|z) at one sample of q(z|x).",
            models="posterior",
        ),
        Measure(
            "elbo", "ELBO", "nats per image", "higher",
            "Evidence lower bound: −(recon + KL), with β = 1 whatever the training used.",
            models="posterior",
        ),
        Measure(
            "neg_elbo", "−ELBO", "nats per image", "lower",
            "What a VAE minimises: the cost of an image given its code plus the KL. It bounds the negative "
            "log-likelihood from above. Compare it within one likelihood only, and that of Bernoulli on grey pixels "
            "within one protocol only.",
            format_tenths, models="posterior", source="compare", compared=True,
        ),
        Measure(
            "nll", "NLL", "nats per image", "lower",
            "Negative log-likelihood, estimated from above by many weighted samples of z (Burda et al. 2015): closer "
            "than −ELBO.",
            format_tenths, models="posterior", compared=True,
        ),
        Measure(
            "bits_per_dim", "Bits/dim", "bits per dimension", "lower",
            "The NLL in bits for each of an image's values: NLL / (C·H·W · ln 2). Only a likelihood of 8-bit pixels "
            "has it. Then it compares with other models of the same images, and 8 bits is what they take uncompressed.",
            "{:.3f}".format, short="bits/dim", models="discretised", compared=True,
        ),
        Measure(
            "kl", "KL", "nats per image", None,
            "Nats of information in a VAE's code: the divergence of q(z|x) from N(0, I), summed over the "
            "dimensions. Neither lower nor higher is better by itself.",
            format_tenths, models="posterior", compared=True,
        ),
        Measure(
            "active_units", "Active", "dimensions", None,
            "How many latent dimensions have a mean that varies by more than 0.01 over the test images.",
            models="posterior",
        ),
        Measure(
            "mmd", "MMD", "", "lower",
            "How far the codes are from N(0, I): squared maximum mean discrepancy.",
        ),
        Measure(
            "ks", "KS", "", "lower",
            "How far the codes are from N(0, 1) in each dimension: Kolmogorov–Smirnov distance, mean over dimensions.",
        ),
        Measure(
            "linear_probe", "Probe", "share right", "higher",
            "How often a logistic regression on the training codes names a test image's class.",
            models="labelled",
        ),
        Measure(
            "knn5", "5-NN", "share right", "higher",
            "How often the five nearest training codes name a test image's class. It is high where "
            "similar images have similar codes.",
            "{:.3f}".format, models="labelled", compared=True,
        ),
        Measure(
            "frechet/prior", "FD N(0, I)", "", "lower",
            "Fréchet distance between test images and images decoded from z ~ N(0, I), in the features of a classifier "
            "trained for this data set. It measures whether the model can generate images. Compare it within one "
            "classifier only: another one, even with another seed, gives other numbers.",
            short="FD N(0,I)", compared=True,
        ),
        Measure(
            "frechet/gaussian", "FD Gaussian", "", "lower",
            "The same with z from a Gaussian fitted to the training codes.",
        ),
        Measure(
            "frechet/mixture", "FD mixture", "", "lower",
            "The same with z from a Gaussian mixture fitted to the training codes: what the decoder can do with "
            "codes like those of images.",
            short="FD mix", compared=True,
        ),
        Measure(
            "frechet/floor", "FD floor", "", None,
            "The same of real training images: what a perfect model would reach.",
        ),
        Measure(
            "train_seconds", "Training", "seconds", None,
            "Time that the training took, on the hardware named above.",
            short="train s", source="compare", compared=True,
        ),
    )
}  # fmt: skip
COMPARISON_COLUMNS = tuple(key for key, measure in MEASURES.items() if measure.compared)


def higher_is_better(metric: str) -> bool:
    """Return whether higher values are better of a measure, or of a measure on the validation split (`val/elbo`)."""
    return MEASURES[metric.removeprefix("val/")].better == "higher"


def worse_than_pca(name: str, entry: "ModelParams", ratio: float | None, split: str) -> str | None:
    """Return a line that warns of a model whose MSE on a split is above PCA's, and says what helps; else None."""
    if ratio is None or ratio < 1.0005:  # 1.000 in the table
        return None
    pca = f"PCA with {entry.latent} number{'s' if entry.latent > 1 else ''}"
    return f"{name} is worse than {pca}: its {split} MSE is {ratio:.3f} times as high. What helps: {entry.pca_advice}."


def still_pca(models: "Mapping[str, ModelParams]", best_steps: Mapping[Any, float | None]) -> str | None:
    """Return a line that names those of `models` that began as PCA and whose best step is 0; None if there are none."""
    names = [name for name, entry in models.items() if entry.begins_at_pca and best_steps.get(name) == 0]
    if not names:
        return None
    return (
        f"{join_words(names)} {'is' if len(names) == 1 else 'are'} still PCA: no step was better on the validation "
        "images than this start. It is not an error. What helps: more training images."
    )
