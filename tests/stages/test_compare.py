"""The comparison as text: digits, and what is marked."""

import pandas as pd

from autoencoders.stages.compare import as_shown

MEASURED = pd.DataFrame(
    {
        "latent": [16, 16],
        "mse": [0.0078912, 0.0091],
        "frechet/prior": [302.6, 34.08],
        "frechet/mixture": [6.704, 0.5634],
        "train_seconds": [None, 3.046],
    },
    index=["ae", "vae"],
)


def test_distances_and_seconds_have_three_digits() -> None:
    shown = as_shown(MEASURED)
    assert list(shown["MSE"]) == ["0.00789*", "0.00910"]
    assert list(shown["FD N(0,I)"]) == ["303", "34.1*"]
    assert list(shown["FD mix"]) == ["6.70", "0.563*"]
    assert list(shown["train s"]) == ["–", "3.05"]
