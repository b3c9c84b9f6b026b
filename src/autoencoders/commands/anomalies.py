"""Rank images by how unusual they are to a model."""

from json import dumps
from pathlib import Path

import pandas as pd
import torch

from autoencoders.commands.results import new_folder
from autoencoders.data.pictures import list_pictures
from autoencoders.errors import printable
from autoencoders.evaluation.anomaly import concatenate
from autoencoders.inference import TrainedModel, load_model
from autoencoders.plots.sheets import MAX_STRANGE, strangest
from autoencoders.plots.style import save

MAX_LINES = 20
"""Images that are printed; the CSV file and JSON hold all."""
SCORES = {"mse": ("MSE", ".5f"), "neg_elbo": ("−ELBO", ".1f")}
"""Column → (heading, digits); the first ranks the images."""


def anomalies(
    images: list[Path], *, model: str, device: str = "auto", json: bool = False, out: Path | None = None
) -> None:
    """Rank images (files, or folders of them) by how unusual they are to the model, the most unusual first.

    The score is the squared error of the reconstruction; for a VAE the negative ELBO is shown, too. A score above the
    model's threshold, the 99 % quantile of its validation images, is flagged. `model` is the folder of a trained model,
    or an MLflow URI such as models:/mnist-autoencoders@best-vae. With `out`, that folder gets anomalies.csv with all
    scores, and overview.png: the most unusual images, their reconstructions, and where the two differ.
    """
    trained, files = load_model(model, device), list_pictures(images)
    parts, kept, errors = [], torch.empty(0, *trained.shape), torch.empty(0)
    for x in trained.image_blocks(files):
        parts.append(trained.anomaly_scores(x))
        kept, errors = torch.cat([kept, x]), torch.cat([errors, parts[-1].mse])
        first = errors.argsort(descending=True, stable=True)[:MAX_STRANGE]
        kept, errors = kept[first], errors[first]
    table = _table(files, concatenate(parts)._asdict(), trained.thresholds)
    if out:
        with new_folder(out) as draft:
            table.to_csv(draft / "anomalies.csv", index=False)
            captions = [
                (Path(name).name, f"MSE {_cell(mse, 'mse', flagged)}")
                for name, mse, flagged in zip(table["image"], table["mse"], table["mse_flagged"], strict=True)
            ][:MAX_STRANGE]
            redrawn = trained.reconstruct(kept)
            figure = strangest(kept.numpy(), redrawn.numpy(), captions, trained.name, trained.thresholds["mse"])
            save(figure, draft / "overview.png")
    if json:
        print(dumps(table.to_dict("records"), indent=2))
        return
    print(_shown(table, trained))
    if out:
        print(printable(f"{out}: anomalies.csv and overview.png"))


def _table(files: list[Path], scores: dict[str, torch.Tensor | None], thresholds: dict[str, float]) -> pd.DataFrame:
    """Return a row for each file, with each score and whether it is above its threshold, the most unusual first."""
    table = pd.DataFrame({"image": [file.as_posix() for file in files]})
    for name, values in scores.items():
        if values is not None:
            table[name] = values.numpy()
            table[f"{name}_flagged"] = table[name] > thresholds[name]
    return table.sort_values("mse", ascending=False, kind="stable", ignore_index=True)


def _cell(score: float, name: str, flagged: bool) -> str:
    return f"{score:{SCORES[name][1]}}{'*' if flagged else ' '}"


def _shown(table: pd.DataFrame, trained: TrainedModel) -> str:
    """Return the table for a terminal, scores above their threshold marked with an asterisk."""
    columns = {"image": [printable(name) for name in table["image"][:MAX_LINES]]}
    limits, counts = [], []
    for name, (heading, digits) in SCORES.items():
        if name in table:
            cells = zip(table[name], table[f"{name}_flagged"], strict=True)
            columns[heading] = [_cell(score, name, flagged) for score, flagged in cells][:MAX_LINES]
            limits.append(f"{heading} {trained.thresholds[name]:{digits}}")
            counts.append(f"{table[f'{name}_flagged'].sum()} by {heading}")
    text = pd.DataFrame(columns).to_markdown(
        tablefmt="simple", index=False, disable_numparse=True, colalign=["left"] + ["right"] * len(limits)
    )
    more = f"… and {len(table) - MAX_LINES} more\n" if len(table) > MAX_LINES else ""
    share = f"{trained.thresholds['quantile'] * 100:g} % of its validation images are below it"
    return (
        f"{text}\n{more}* above the threshold of {trained.name} ({share}): {', '.join(limits)}.\n"
        f"Flagged: {', '.join(counts)}, of {len(table)} image{'s' if len(table) > 1 else ''}."
    )
