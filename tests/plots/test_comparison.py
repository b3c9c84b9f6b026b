import numpy as np
import pandas as pd
import pytest

from autoencoders.plots.comparison import comparison


@pytest.fixture
def metrics() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "latent": [2, 2, 16],
            "test/mse": [0.0557, 0.041, 0.0118],
            "pca/mse": [0.0557, 0.0557, 0.0268],
            "frechet/prior": [np.nan, 310.0, 21.5],
            "frechet/gaussian": [260.0, 120.0, 20.0],
            "frechet/mixture": [150.0, 60.0, 15.0],
        },
        index=["pca_2", "autoencoder_2", "vae_16"],
    )


def test_bars_are_the_errors_and_ticks_are_pca(metrics):
    errors, _ = comparison(metrics).axes
    assert [bar.get_width() for bar in errors.patches] == list(metrics["test/mse"])
    np.testing.assert_array_equal(errors.collections[0].get_offsets()[:, 0], metrics["pca/mse"])


def test_rows_stand_in_the_tables_order_from_the_top(metrics, drawn):
    boxes = dict(drawn(comparison(metrics)))
    assert boxes["pca_2"].y0 > boxes["autoencoder_2"].y0 > boxes["vae_16"].y0
    assert abs(boxes["0.0410"].y0 - boxes["autoencoder_2"].y0) < 15


def test_a_number_never_stands_behind_pcas_tick(metrics):
    """Behind the tick it would read as PCA's."""
    errors, _ = comparison(metrics).axes
    numbers = {text.get_text(): text for text in errors.texts}
    assert (numbers["0.0410"].xy[0], numbers["0.0410"].get_ha()) == (0.041, "left")
    assert (numbers["0.0557"].xy[0], numbers["0.0557"].get_ha()) == (0.0557, "right")  # inside its bar


def test_distances_are_logarithmic_by_sampler_with_the_floor(metrics):
    _, distances = comparison(metrics, frechet_floor=1.8).axes
    assert distances.get_xscale() == "log"
    lines = {line.get_label(): line for line in distances.lines if not line.get_label().startswith("_")}
    np.testing.assert_array_equal(lines["z ~ N(0, I)"].get_xdata(), metrics["frechet/prior"])
    np.testing.assert_array_equal(lines["z ~ mixture fitted to the codes"].get_xdata(), metrics["frechet/mixture"])
    assert set(lines["real images: 1.80"].get_xdata()) == {1.8}
    markers = {line.get_marker() for label, line in lines.items() if label.startswith("z")}
    assert len(markers) == 3  # told apart without colour


def test_without_distances_there_is_one_panel(metrics):
    assert len(comparison(metrics[["test/mse"]]).axes) == 1


def test_text_is_legible(metrics, long_names, assert_legible):
    twelve = pd.concat([metrics] * 4).set_axis(long_names, axis=0)
    assert_legible(comparison(twelve, frechet_floor=1.8))
    assert_legible(comparison(metrics.iloc[:2], frechet_floor=1.8))
    assert_legible(comparison(metrics[["test/mse"]]))
