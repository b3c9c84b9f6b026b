"""Write the comparison table and register the best models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.params import Params, Vae
from autoencoders.trained import read_description

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
    """Write `comparison.csv`, `comparison.md` and `comparison.txt` to `out`, print the table, register the best."""
    tracking.require_server()
    metrics = {name: read_metrics(evaluation / name) for name in params.models}
    descriptions = {name: read_description(models / name) for name in params.models}
    table = comparison_table(params, metrics)
    table["train_seconds"] = [_seconds(models / name) for name in params.models]
    floor = next(iter(metrics.values()))["frechet/floor"]
    note = (
        "Test split. * is a column's best. MSE per pixel; −ELBO, NLL and KL in nats per image; "
        f"FD: Fréchet distance to the test images, whose floor (real images) is {floor:.1f}."
    )
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "comparison.csv")
    shown = as_shown(table)
    (out / "comparison.md").write_text(shown.to_markdown(disable_numparse=True, stralign="right") + f"\n\n{note}\n")
    text = shown.to_markdown(tablefmt="simple", disable_numparse=True, stralign="right")
    (out / "comparison.txt").write_text(f"{text}\n{note}\n", encoding="utf-8")
    print(f"\n{text}\n{note}\n")

    with tracking.FolderRuns(params.tracking.experiment) as runs:
        register_best(runs, params, descriptions, models)


def register_best(
    runs: tracking.FolderRuns, params: Params, descriptions: Mapping[str, Mapping[str, Any]], models: Path
) -> None:
    """Register the best models of `models`, each under its alias, and say which they are and why."""
    registered = tracking.registered_name(next(iter(descriptions.values())))
    for alias, (name, metric) in best_models(params, descriptions).items():
        runs.register(registered, models / name, alias, metric).result()
        if not runs.offline:
            print(f"models:/{registered}@{alias} is {name}, by {metric}")


def read_metrics(folder: Path) -> dict[str, float]:
    """Return what the evaluation of a model measured; raises `UserError` where it is missing."""
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{folder}/metrics.json is missing or damaged ({error}). Run the `evaluate` stage.") from error


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


def best_models(params: Params, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return alias → (model, metric): the best autoencoder and the best VAE by the validation split.

    Autoencoders by val/mse; VAEs by val/elbo, or by val/mse where their likelihoods differ and ELBOs do not compare.
    """
    chosen = {}
    for kind, alias in (("autoencoder", "best-autoencoder"), ("vae", "best-vae")):
        entries = {name: entry for name, entry in params.models.items() if entry.kind == kind}
        if not entries:
            continue
        likelihoods = {entry.likelihood for entry in entries.values() if isinstance(entry, Vae)}
        metric, sign = ("val/elbo", -1) if len(likelihoods) == 1 else ("val/mse", 1)
        best = min(entries, key=lambda name: sign * descriptions[name]["validation"][metric])
        chosen[alias] = (best, metric)
    return chosen


def _seconds(folder: Path) -> float | None:
    history = folder / "history.csv"
    return float(pd.read_csv(history)["seconds"].sum()) if history.exists() else None
