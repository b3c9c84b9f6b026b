"""What the linear rung says: whether a linear autoencoder has arrived at PCA, by the errors and angles measured."""

from collections.abc import Mapping

import numpy as np

from autoencoders.ladder.linear import NOTHING, Fit, PcaCurve, share_above
from autoencoders.text import format_change, join_words

CLOSE = 1e-3
"""Share of PCA's error within which the linear autoencoder's counts as the same."""
TILT = 1.0
"""Degrees within which its space counts as PCA's."""
TITLES = {
    "alike": "Images that are all alike leave an autoencoder nothing to learn",
    "same": "An autoencoder without bends is PCA",
    "error": "An autoencoder without bends has PCA's error",
    "apart": "An autoencoder without bends, and PCA",
}

Nonlinear = Mapping[str, tuple[int, float]]
"""Name → latent dimensions, test MSE."""


def excess(fit: Fit, curve: PcaCurve, latent: int) -> float:
    """Return by what share of PCA's error the linear autoencoder's is above it, on the images both were made from."""
    return share_above(fit.train_mse, float(curve.train_mse[latent]))


def _are_alike(curve: PcaCurve) -> bool:
    """Tell whether the mean image alone draws all of the images that PCA is made from."""
    return bool(curve.train_mse[0] <= NOTHING)


def _apart(fits: Mapping[int, Fit], curve: PcaCurve) -> list[int]:
    return [latent for latent, fit in fits.items() if excess(fit, curve, latent) > CLOSE]


def verdict(fits: Mapping[int, Fit], curve: PcaCurve) -> str:
    """Return the key of `TITLES` that the measured errors and angles allow."""
    if _are_alike(curve):
        return "alike"
    if _apart(fits, curve):
        return "apart"
    return "same" if all(fit.largest_angle <= TILT for fit in fits.values()) else "error"


def errors_told(fits: Mapping[int, Fit], curve: PcaCurve, images: int) -> str:
    """Tell the errors, of linear autoencoders (by latent dimensions) and PCA, and whether they are the same."""
    made_from = join_words([
        f"{fit.train_mse:.5f} with {_numbers(latent)} (PCA {curve.train_mse[latent]:.5f}: "
        f"{_than_pca(fit.train_mse, curve.train_mse[latent])})"
        for latent, fit in fits.items()
    ])  # fmt: skip
    apart = _apart(fits, curve)
    verdict = (
        f"With {join_words([_numbers(latent) for latent in apart])} it has not come within 0.1 % of PCA here; "
        "more epochs bring it nearer."
        if apart
        else "Trained step by step, it has arrived where PCA gets by algebra."
    )
    others = join_words([
        f"{fit.mse:.5f} (PCA {curve.mse[latent]:.5f}: {_than_pca(fit.mse, curve.mse[latent])})"
        for latent, fit in fits.items()
    ])  # fmt: skip
    return (
        "Principal component analysis (PCA) looks for the k directions in which the images differ most and keeps, "
        "of each image, its place along them: no linear code of k numbers has a smaller squared error on the images "
        "that it is made from. "
        "A linear autoencoder has one layer from the pixels to k numbers and one layer back, and nothing between "
        f"them that bends. Trained by its squared error on the same {images:,} images, it reaches an error per "
        f"pixel on them of {made_from}. {verdict} On the test images the error is {others}.{_unsettled(fits, curve)}"
    )


def _unsettled(fits: Mapping[int, Fit], curve: PcaCurve) -> str:
    """Say why test errors differ where those on the training images do not, if so."""
    if _apart(fits, curve) or all(
        share_above(fit.mse, float(curve.mse[latent])) <= CLOSE for latent, fit in fits.items()
    ):
        return ""
    return (
        " What the two make of new images differs more than that: so few images leave open what the encoder does "
        "with what is in none of them, and training leaves that as it was drawn."
    )


def _compared(value: float, reference: float) -> str:
    """Return how an error compares with PCA's, without shares of none."""
    if value > NOTHING >= reference:
        return "more"
    return "the same" if max(value, reference) <= NOTHING else format_change(value, reference)


def _than_pca(value: float, reference: float) -> str:
    change = _compared(value, reference)
    return change if change == "the same" else f"{change} than that"


def _numbers(latent: int) -> str:
    return f"{latent} number{'s' if latent > 1 else ''}"


def angles_told(fits: Mapping[int, Fit], curve: PcaCurve) -> str:
    """Tell how far the spaces lean, and why one may lean at an error that is PCA's."""
    told = [
        "The code itself may be any mixture of PCA's numbers; what can be compared is the space that the decoder's "
        "images span. Principal angles say how far two such spaces are tilted against each other: 0° is no tilt, "
        "90° a direction that the other lacks altogether."
    ]
    if _are_alike(curve):
        return f"{told[0]} The training images differ in nothing, so there is no direction to compare."
    found = {latent: curve.found(latent) for latent in fits}
    told += [
        f"Of the {latent} directions that {latent} numbers allow, PCA finds {found[latent]} in which these images "
        "differ; the others are arbitrary, and are not compared."
        for latent in fits
        if found[latent] < latent
    ][-1:]
    largest = [f"{_degrees(fit.largest_angle)} with {_numbers(latent)}" for latent, fit in fits.items()]
    told.append(f"The largest angle is {join_words(largest)}.")
    close = {k: fit for k, fit in fits.items() if excess(fit, curve, k) <= CLOSE}
    for latent in [k for k, fit in close.items() if fit.largest_angle > TILT][-1:]:
        gain, next_gain = -np.diff(curve.train_mse[latent - 1 : latent + 2])
        if next_gain > 0.5 * gain > 0:
            told.append(
                f"With {_numbers(latent)} that is at PCA's own error: component {latent} lowers it by {gain:#.2g}, and "
                f"component {latent + 1}, which is left out, would by {next_gain:#.2g}. Between neighbours that tell "
                "about as much, a space may lean from the one to the other and lose next to nothing, so training "
                "hardly turns it back."
            )
    return " ".join(told)


def _degrees(angle: float) -> str:
    return f"{angle:.0f}°" if angle >= 9.5 else f"{angle:.1f}°" if angle >= 0.95 else f"{angle:.2g}°"


def conclusion(fits: Mapping[int, Fit], curve: PcaCurve) -> str:
    """Say whether linear autoencoders are PCA, as far as errors and angles allow."""
    if _are_alike(curve):
        return (
            "So the training images cannot tell a linear autoencoder from PCA: they are all alike, and their mean "
            "alone draws each of them."
        )
    apart = _apart(fits, curve)
    if apart:
        above = [f"{_amount(fits[k].train_mse, float(curve.train_mse[k]))} with {_numbers(k)}" for k in apart]
        return f"So here the linear autoencoder is not PCA yet: its error is still higher, by {join_words(above)}."
    leaning = [
        f"{_degrees(fit.largest_angle)} with {_numbers(k)}" for k, fit in fits.items() if fit.largest_angle > TILT
    ]
    if leaning:
        return (
            "So a linear autoencoder does just as well as PCA: its error is the same within 0.1 %. Its space is not "
            f"quite PCA's: it leans by {join_words(leaning)}."
        )
    return "So a linear autoencoder is PCA: the same error within 0.1 %, the same space within 1°."


def _amount(value: float, reference: float) -> str:
    """Return by how much an error is above PCA's: in percent, unless that is none."""
    return f"{100 * share_above(value, reference):.2g} %" if reference > NOTHING else f"{value:.2g} per pixel"


def nonlinear_told(nonlinear: Nonlinear, curve: PcaCurve) -> str:
    """Tell the test errors of nonlinear autoencoders beside PCA's."""
    if not nonlinear:
        return (
            "A nonlinear autoencoder has hidden layers that bend: add an entry of kind autoencoder to the models of "
            "params.yaml to see what that changes."
        )
    changes = {name: _compared(mse, float(curve.mse[latent])) for name, (latent, mse) in nonlinear.items()}
    results = join_words([
        f"{name}, with {_numbers(latent)}, has a test error of {mse:.5f}, {changes[name]} "
        f"{'as' if changes[name] == 'the same' else 'than'} PCA with as many"
        for name, (latent, mse) in nonlinear.items()
    ])  # fmt: skip
    if all(curve.mse[latent] <= NOTHING for latent, _ in nonlinear.values()):
        gained = "PCA leaves no error here that bending could take away."
    elif all(change.endswith("less") for change in changes.values()):
        gained = "What it gains, it gains by bending."
    else:
        gained = "Bending gains nothing by itself: it must be trained."
    return f"A nonlinear autoencoder has hidden layers that bend: {results}. {gained}"
