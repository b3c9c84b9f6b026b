"""Write the comparison table."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from autoencoders.evaluation.measures import COMPARISON_COLUMNS, still_pca, worse_than_pca
from autoencoders.evaluation.results import ALWAYS_MEASURED, check_numbers, read_metrics
from autoencoders.files.reading import damage_named, read_bytes
from autoencoders.files.results import replaceable, result_folder
from autoencoders.model_folder.history import read_history_table
from autoencoders.params import KINDS, Params
from autoencoders.report.comparison import Table, comparison
from autoencoders.text import format_number, join_words

CONTENTS = ("comparison.csv", "comparison.md", "comparison.txt")


def compare(params: Params, *, models: Path, evaluation: Path, out: Path) -> None:
    """Write `comparison.csv`, `comparison.md` and `comparison.txt` to `out`, and print the table."""
    replaceable(out, CONTENTS)
    metrics = {name: read_metrics(evaluation / name, ALWAYS_MEASURED) for name in params.models}
    table = comparison_table(params, metrics)
    trainings = [_training(models / name) for name in params.models]
    table[["train_seconds", "best_step"]] = pd.DataFrame(trainings, table.index, dtype=float)
    shown = comparison(table)
    text = table_as_text(shown)
    marked = " * is a column's best." if shown.marks_best else ""
    differ = f" {join_words(shown.incomparable)}: no best, the likelihoods differ." if shown.incomparable else ""
    note = (
        f"Test split.{marked}{differ} MSE per pixel; −ELBO, NLL and KL in nats per image; FD: Fréchet distance to the "
        f"test images, whose floor (real images) is {format_number(table['frechet/floor'].iloc[0])}."
    )
    lines = [
        worse_than_pca(name, entry, metrics[name].get("mse_over_pca"), "test") for name, entry in params.models.items()
    ]
    note = "\n\n".join([note, *filter(None, [*lines, still_pca(params.models, table["best_step"].to_dict())])])
    page = text.to_markdown(disable_numparse=True, stralign="right")
    plain = text.to_markdown(tablefmt="simple", disable_numparse=True, stralign="right")
    with result_folder(out, CONTENTS) as draft:
        table.to_csv(draft / "comparison.csv")
        (draft / "comparison.md").write_text(f"{page}\n\n{note}\n", encoding="utf-8")
        (draft / "comparison.txt").write_text(f"{plain}\n{note}\n", encoding="utf-8")
    print(f"\n{plain}\n{note}\n")


def read_comparison(path: Path, needed: Sequence[str] = ("mse",)) -> pd.DataFrame:
    """Return the rows of `comparison.csv` by model; raise `UserError` where it, or what is `needed`, is missing."""
    with damage_named(path, "Run the `compare` stage.", KeyError):
        text = io.BytesIO(read_bytes(path))
        table = pd.read_csv(text, dtype={"model": str}, keep_default_na=False, na_values=[""]).set_index("model")
        check_numbers(table, ["latent", *needed, *(name for name in COMPARISON_COLUMNS if name in table)])
        if not set(table["kind"]) <= KINDS.keys() or table[["latent", *needed]].isna().any(axis=None):
            raise ValueError("a kind of model or a number is missing")
    return table


def comparison_table(params: Params, metrics: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return a row for each model, in the order of params.yaml: kind, likelihood, latent dimensions, all measures."""
    rows = {
        name: {"kind": entry.kind, "likelihood": entry.comparable, "latent": entry.latent, **metrics[name]}
        for name, entry in params.models.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "model"
    if "elbo" in table:
        table["neg_elbo"] = -table["elbo"]
    return table


def table_as_text(table: Table) -> pd.DataFrame:
    """Return a comparison as text that fits a terminal, a row for each model, with an asterisk at a column's best."""
    headings = [column.short or column.heading for column in table.columns]
    cells = [[cell.text + "*" * cell.best for cell in row.cells] for row in table.rows]
    return pd.DataFrame(cells, pd.Index([row.name for row in table.rows], name="model"), headings)


def _training(folder: Path) -> tuple[float | None, float | None]:
    """Return the seconds that the training took, and the step whose weights were kept."""
    history = read_history_table(folder)
    if history is None:
        return None, None
    return float(history["seconds"].sum()), float(history["step"].iloc[history["val/loss"].argmin()])
