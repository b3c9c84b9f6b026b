import numpy as np
import pytest

from autoencoders.plots.kl import kl_per_dimension


def _heights(axes):
    return [bar.get_height() for bar in axes.patches]


def test_bars_fall_and_carry_their_dimension_and_the_title_counts_the_active():
    figure = kl_per_dimension({"vae_4": np.array([0.002, 3.0, 0.5, 1.0])}, {"vae_4": np.array([0.0, 0.9, 0.5, 0.011])})
    (axes,) = figure.axes
    assert _heights(axes) == [3.0, 1.0, 0.5, 0.002]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["z₂", "z₄", "z₃", "z₁"]
    assert axes.get_title(loc="left") == "vae_4: 3 of 4 active"
    assert axes.get_ylabel() == "KL (nats)"
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0] == colours[2] != colours[3]


def test_panels_share_one_scale():
    figure = kl_per_dimension({"a": np.array([4.0, 1.0]), "b": np.array([0.1, 0.0])}, dict.fromkeys("ab", np.ones(2)))
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() == (0, pytest.approx(4.2))


def test_active_are_dimensions_whose_mean_varies_whatever_their_kl():
    (axes,) = kl_per_dimension({"vae": np.full(3, 0.5)}, {"vae": np.full(3, 0.009)}).axes
    assert axes.get_title(loc="left") == "vae: 0 of 3 active"


@pytest.mark.parametrize(("models", "dimensions"), [(1, 2), (2, 64), (12, 20)])
def test_text_is_legible(long_names, assert_legible, models, dimensions):
    kl = np.linspace(3, 0, dimensions)
    assert_legible(kl_per_dimension(dict.fromkeys(long_names[:models], kl), dict.fromkeys(long_names[:models], kl)))
