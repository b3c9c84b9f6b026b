"""Write the comparison table."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from autoencoders.errors import UserError
from autoencoders.evaluation.results import MEASURED, check_numbers, read_metrics
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.files.results import replaceable, result_folder
from autoencoders.model_folder.history import read_history_table
from autoencoders.params import Params
from autoencoders.report.comparison import KINDS, best_of
from autoencoders.text import format_number

CONTENTS = ("comparison.csv", "comparison.md", "comparison.txt")
# What fits a terminal; the CSV holds all. Column → (heading, number as text, is less better?)
SHOWN: dict[str, tuple[str, Callable[[float], str], bool | None]] = {
    "mse": ("MSE", "{:.5f}".format, True),
    "ssim": ("SSIM", "{:.3f}".format, False),
    "neg_elbo": ("−ELBO", "{:.1f}".format, True),
    "nll": ("NLL", "{:.1f}".format, True),
    "kl": ("KL", "{:.1f}".format, None),
    "knn5": ("5-NN", "{:.3f}".format, False),
    "frechet/prior": ("FD N(0,I)", format_number, True),
    "frechet/mixture": ("FD mix", format_number, True),
    "train_seconds": ("train s", format_number, None),
}


def compare(params: Params, *, models: Path, evaluation: Path, out: Path) -> None:
    """Write `comparison.csv`, `comparison.md` and `comparison.txt` to `out`, and print the table."""
    replaceable(out, CONTENTS)
    metrics = {name: read_metrics(evaluation / name, MEASURED) for name in params.models}
    table = comparison_table(params, metrics)
    table["train_seconds"] = [_seconds(models / name) for name in params.models]
    floor = next(iter(metrics.values()))["frechet/floor"]
    shown = as_shown(table)
    marked = " * is a column's best." if shown.map(lambda cell: cell.endswith("*")).any(axis=None) else ""
    note = (
        f"Test split.{marked} MSE per pixel; −ELBO, NLL and KL in nats per image; "
        f"FD: Fréchet distance to the test images, whose floor (real images) is {format_number(floor)}."
    )
    page = shown.to_markdown(disable_numparse=True, stralign="right")
    text = shown.to_markdown(tablefmt="simple", disable_numparse=True, stralign="right")
    with result_folder(out, CONTENTS) as draft:
        table.to_csv(draft / "comparison.csv")
        (draft / "comparison.md").write_text(f"{page}\n\n{note}\n", encoding="utf-8")
        (draft / "comparison.txt").write_text(f"{text}\n{note}\n", encoding="utf-8")
    print(f"\n{text}\n{note}\n")


def read_comparison(path: Path, needed: Sequence[str] = ("mse",)) -> pd.DataFrame:
    """Return the rows of `comparison.csv` by model; raises `UserError` where it, or what is `needed`, is missing."""
    try:
        text = io.BytesIO(read_bytes(path))
        table = pd.read_csv(text, dtype={"model": str}, keep_default_na=False, na_values=[""]).set_index("model")
        check_numbers(table, ["latent", *needed, *(name for name in SHOWN if name in table)])
        if not set(table["kind"]) <= KINDS.keys() or table[["latent", *needed]].isna().any(axis=None):
            raise ValueError("a kind of model or a number is missing")
    except (*DAMAGE, KeyError) as error:
        raise UserError(f"{path} is missing or damaged ({reason(error)}). Run the `compare` stage.") from error
    return table


def comparison_table(params: Params, metrics: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return a row a model, in the order of params.yaml: kind, latent dimensions and all that was measured."""
    rows = {
        name: {"kind": entry.kind, "latent": entry.latent, **metrics[name]} for name, entry in params.models.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "model"
    if "elbo" in table:
        table["neg_elbo"] = -table["elbo"]
    return table


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table's main columns as text, of each the best of several models marked with an asterisk."""
    shown = table[["latent"]].astype(str)
    for column, (heading, written, less_is_better) in SHOWN.items():
        if column not in table or table[column].isna().all():
            continue
        best = best_of(table[column], less_is_better)
        shown[heading] = [_cell(value, written, value == best) for value in table[column]]
    return shown


def _cell(value: float, written: Callable[[float], str], is_best: bool) -> str:
    return "–" if pd.isna(value) else f"{written(value)}{'*' if is_best else ''}"


def _seconds(folder: Path) -> float | None:
    history = read_history_table(folder)
    return None if history is None else float(history["seconds"].sum())
