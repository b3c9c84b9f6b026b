"""Write the comparison table."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from autoencoders.data.files import result_folder
from autoencoders.params import Params
from autoencoders.stages.publish import read_metrics

# What fits a terminal; the CSV holds all. Column → (heading, digits, is less better?)
SHOWN = {
    "mse": ("MSE", ".5f", True),
    "ssim": ("SSIM", ".3f", False),
    "neg_elbo": ("−ELBO", ".1f", True),
    "nll": ("NLL", ".1f", True),
    "kl": ("KL", ".1f", None),
    "knn5": ("5-NN", ".3f", False),
    "frechet/prior": ("FD N(0,I)", ".0f", True),
    "frechet/mixture": ("FD mix", ".0f", True),
    "train_seconds": ("train s", ".0f", None),
}


def compare(params: Params, *, models: Path, evaluation: Path, out: Path) -> None:
    """Write `comparison.csv`, `comparison.md` and `comparison.txt` to `out`, and print the table."""
    metrics = {name: read_metrics(evaluation / name) for name in params.models}
    table = comparison_table(params, metrics)
    table["train_seconds"] = [_seconds(models / name) for name in params.models]
    floor = next(iter(metrics.values()))["frechet/floor"]
    note = (
        "Test split. * is a column's best. MSE per pixel; −ELBO, NLL and KL in nats per image; "
        f"FD: Fréchet distance to the test images, whose floor (real images) is {floor:.1f}."
    )
    shown = as_shown(table)
    page = shown.to_markdown(disable_numparse=True, stralign="right")
    text = shown.to_markdown(tablefmt="simple", disable_numparse=True, stralign="right")
    with result_folder(out) as draft:
        table.to_csv(draft / "comparison.csv")
        (draft / "comparison.md").write_text(f"{page}\n\n{note}\n", encoding="utf-8")
        (draft / "comparison.txt").write_text(f"{text}\n{note}\n", encoding="utf-8")
    print(f"\n{text}\n{note}\n")


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
    """Return the table's main columns as text, the best value of each marked with an asterisk."""
    shown = table[["latent"]].astype(str)
    for column, (heading, digits, less_is_better) in SHOWN.items():
        if column not in table or table[column].isna().all():
            continue
        values = table[column]
        best = None if less_is_better is None else values.min() if less_is_better else values.max()
        shown[heading] = [
            "–" if pd.isna(value) else f"{value:{digits}}{'*' if value == best else ' '}".rstrip() for value in values
        ]
    return shown


def _seconds(folder: Path) -> float | None:
    history = folder / "history.csv"
    return float(pd.read_csv(history)["seconds"].sum()) if history.exists() else None
