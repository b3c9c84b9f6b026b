import numpy as np
import pandas as pd
import pytest

from autoencoders.plots.curves import loss_curves

NATS, SQUARED = "nats per image (Bernoulli)", "squared error per image"


def history(validations: int = 20, end: float = 80.0, kl: float | None = 20.0) -> pd.DataFrame:
    """A row for the untrained model, and one after each 75 steps."""
    number = np.arange(validations + 1)
    recon = end + 100 * np.exp(-number / 3)
    columns = {"step": 75 * number, "train/recon": recon, "val/recon": recon + 2}
    if kl is not None:
        columns |= {"train/kl": kl * (1 - np.exp(-number)), "val/kl": kl * (1 - np.exp(-number)) + 0.1}
    table = pd.DataFrame(columns)
    table.loc[0, [name for name in columns if name.startswith("train/")]] = np.nan
    return table


def _data_lines(axes):
    return [line for line in axes.lines if line.get_gid() != "leader"]


def _names(axes):
    return {text.get_text() for text in axes.texts}


def test_units_never_share_an_axis_and_kl_stands_apart():
    histories = {"ae_2": history(kl=None), "vae_2": history(), "vae_16": history(end=60), "ae_16": history(kl=None)}
    figure = loss_curves(histories, {"ae_2": SQUARED, "ae_16": SQUARED, "vae_2": NATS, "vae_16": NATS})
    panels = {(axes.get_title(loc="left"), axes.get_ylabel()): _names(axes) for axes in figure.axes}
    assert panels == {
        ("Reconstruction: squared error", SQUARED): {"ae_2", "ae_16"},
        ("Reconstruction: nats (Bernoulli)", NATS): {"vae_2", "vae_16"},
        ("KL", "nats per image"): {"vae_2", "vae_16"},
    }


def test_training_is_dashed_validation_solid_and_both_are_the_history():
    table = history()
    recon, kl = loss_curves({"vae_2": table}, {"vae_2": NATS}).axes
    for axes, quantity in ((recon, "recon"), (kl, "kl")):
        lines = {line.get_linestyle(): line for line in _data_lines(axes)}
        for style, split in (("--", "train"), ("-", "val")):
            np.testing.assert_array_equal(lines[style].get_xdata(), table["step"])
            np.testing.assert_array_equal(lines[style].get_ydata(), table[f"{split}/{quantity}"])


def test_a_model_has_one_colour_on_all_panels():
    figure = loss_curves({"a": history(), "b": history(end=50)}, {"a": NATS, "b": NATS})
    colours = [[line.get_color() for line in _data_lines(axes)] for axes in figure.axes]
    assert colours[0] == colours[1]
    assert colours[0][0] == colours[0][1] != colours[0][2]


@pytest.mark.parametrize(("end", "scale"), [(5.0, "log"), (80.0, "linear"), (-200.0, "linear")])
def test_recon_is_logarithmic_only_where_it_falls_far_and_stays_positive(end, scale):
    recon, kl = loss_curves({"a": history(end=end)}, {"a": NATS}).axes
    assert recon.get_yscale() == scale
    assert recon.get_ylabel().endswith("(log scale)") == (scale == "log")
    assert kl.get_yscale() == "linear"


def test_the_first_tenth_of_training_does_not_flatten_the_rest():
    table = history(100)
    table.loc[0, ["train/recon", "val/recon"]] = 1e6
    low, high = loss_curves({"a": table}, {"a": NATS}).axes[0].get_ylim()
    late = table[table["step"] > 750]
    assert low < late["train/recon"].min()
    assert late["val/recon"].max() < high < 100


def test_an_empty_kl_column_and_an_empty_history_draw_nothing():
    table = history(kl=None).assign(**{"train/kl": np.nan, "val/kl": np.nan})
    figure = loss_curves({"ae": table, "pca": table.iloc[:0]}, {"ae": SQUARED, "pca": SQUARED})
    assert [_names(axes) for axes in figure.axes] == [{"ae"}]


def test_the_training_loss_of_a_single_step_is_a_visible_point():
    axes = loss_curves({"a": history(1, kl=None)}, {"a": NATS}).axes[0]
    assert {line.get_marker() for line in _data_lines(axes)} == {"o"}
    low, high = axes.get_xlim()
    assert low < 0 < 75 < high


def test_the_axis_counts_steps_from_the_untrained_model_on():
    axes = loss_curves({"a": history(kl=None)}, {"a": NATS}).axes[0]
    assert axes.get_xlabel() == "step"
    assert min(line.get_xdata().min() for line in _data_lines(axes)) == 0


def test_a_lack_of_losses_is_named():
    with pytest.raises(ValueError, match="no history"):
        loss_curves({"pca": history().iloc[:0]}, {"pca": NATS})


@pytest.mark.parametrize(("models", "validations"), [(1, 1), (2, 20), (12, 200)])
def test_text_is_legible(long_names, assert_legible, models, validations):
    names = long_names[:models]
    histories = {name: history(validations, end=80 + 0.01 * i) for i, name in enumerate(names)}
    assert_legible(loss_curves(histories, dict.fromkeys(names, NATS)))
