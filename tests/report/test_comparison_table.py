import pandas as pd
import pytest

from autoencoders.evaluation.measures import COMPARISON_COLUMNS
from autoencoders.report.comparison import Table, comparison, reference_table
from autoencoders.report.references import PROTOCOLS, Reference, references_for

MEASURED = pd.DataFrame(
    {
        "kind": ["pca", "autoencoder", "vae", "vae"],
        "latent": [16, 16, 16, 2],
        "mse": [0.027, 0.0079, 0.0092, 0.041],
        "ssim": [0.64, 0.93, 0.92, 0.63],
        "neg_elbo": [None, None, 100.2, 151.1],
        "kl": [None, None, 22.8, 6.2],
        "train_seconds": [None, 39.0, 36.0, 18.0],
        "frechet/floor": [0.6] * 4,
    },
    index=["pca", "ae", "vae", "vae-2d"],
)


def column(table: Table, name: str) -> list[str]:
    """A column's cells, the best with an asterisk."""
    place = [measure.heading for measure in table.columns].index(name)
    return [row.cells[place].text + "*" * row.cells[place].best for row in table.rows]


def test_the_best_of_a_column_is_the_lowest_or_the_highest():
    table = comparison(MEASURED)
    assert column(table, "MSE") == ["0.02700", "0.00790*", "0.00920", "0.04100"]
    assert column(table, "SSIM") == ["0.640", "0.930*", "0.920", "0.630"]
    assert column(table, "−ELBO") == ["–", "–", "100.2*", "151.1"]
    assert [measure.better for measure in table.columns] == [None, "lower", "higher", "lower", None, None]
    assert table.floor == 0.6


def test_what_is_neither_good_nor_bad_has_no_best():
    table = comparison(MEASURED)
    assert column(table, "KL") == ["–", "–", "22.8", "6.2"]
    assert column(table, "Training") == ["–", "39.0", "36.0", "18.0"]


def test_what_is_printed_alike_is_not_the_best_and_one_alone_is_none():
    table = comparison(MEASURED.assign(mse=[0.5, 0.1, 0.100001, 0.2], neg_elbo=[None, None, None, 150.0]))
    assert column(table, "MSE") == ["0.50000", "0.10000", "0.10000", "0.20000"]
    assert column(comparison(MEASURED.assign(mse=[0.5, 0.1, 0.10001, 0.2])), "MSE")[1:3] == ["0.10000*", "0.10001"]
    assert column(table, "−ELBO") == ["–", "–", "–", "150.0"]


def test_a_column_without_numbers_is_left_out():
    names = [measure.heading for measure in comparison(MEASURED).columns]
    assert names == ["Latent", "MSE", "SSIM", "−ELBO", "KL", "Training"]


def with_likelihoods(*of_vaes: str, **columns: list[float | None]) -> pd.DataFrame:
    return MEASURED.assign(likelihood=[None, None, *of_vaes], **columns)


def test_bounds_of_two_likelihoods_do_not_compare_and_have_no_best():
    table = comparison(with_likelihoods("bernoulli", "logistic"))
    assert column(table, "−ELBO") == ["–", "–", "100.2", "151.1"]
    assert table.incomparable == ["−ELBO"]
    for same in ("bernoulli", "gaussian", "logistic"):
        table = comparison(with_likelihoods(same, same))
        assert column(table, "−ELBO") == ["–", "–", "100.2*", "151.1"]
        assert table.incomparable == []


def test_bits_per_dimension_are_of_logistic_likelihoods_and_always_compare():
    bits: list[float | None] = [None, None, 1.2345, None]
    table = comparison(with_likelihoods("logistic", "bernoulli", bits_per_dim=bits))
    assert column(table, "Bits/dim") == ["–", "–", "1.234", "–"]
    table = comparison(with_likelihoods("logistic", "logistic", bits_per_dim=[None, None, 1.2, 1.1]))
    assert column(table, "Bits/dim") == ["–", "–", "1.200", "1.100*"]


def test_references_of_bernoulli_bounds_stand_beside_such_models_only():
    place = [measure.heading for measure in comparison(MEASURED).columns].index("−ELBO")
    for likelihood, shown in (("bernoulli", "102.2"), ("gaussian", "–"), ("logistic", "–")):
        table = comparison(with_likelihoods(likelihood, likelihood), references_for("mnist"))
        assert [row.cells[place].text for row in table.references if row.cells[0].text == "16"][-1] == shown


def test_references_stand_beside_models_of_their_kind_and_size():
    table = comparison(MEASURED, references_for("mnist"))
    shown = [(row.name, row.note, row.cells[0].text, row.cells[1].text) for row in table.references]
    assert shown == [
        ("PCA", "P1", "16", "0.02686"),
        ("AE", "P1", "16", "0.00859"),
        ("VAE", "P1", "2", "0.03966"),
        ("VAE", "P1", "16", "0.00956"),
        ("VAE", "Keras", "2", "0.0412–0.0421"),
    ]


def test_the_table_of_references_has_all_of_them_and_no_empty_column():
    table = reference_table(references_for("mnist"))
    assert [measure.heading for measure in table.columns] == ["Latent", "MSE", "SSIM", "−ELBO", "KL"]
    assert (len(table.rows), len(table.references)) == (0, 16)


@pytest.mark.parametrize("name", ["folder", "kmnist", "cifar10"])
def test_other_sets_have_no_references(name):
    assert references_for(name) == []


def test_references_are_of_measures_and_of_described_protocols():
    for name in ("mnist", "fashion-mnist"):
        assert {reference.protocol for reference in references_for(name)} == set(PROTOCOLS)
        assert all(set(reference.figures) <= set(COMPARISON_COLUMNS) for reference in references_for(name))


def test_a_reference_of_another_column_is_a_dash():
    reference = Reference("P1", "vae", 2, {"nll": (90.0,)})
    table = comparison(MEASURED, [reference])
    assert [cell.text for cell in table.references[0].cells] == ["2", "–", "–", "–", "–", "–"]
