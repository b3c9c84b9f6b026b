"""Rank images by how unusual they are to a model."""

from pathlib import Path

import pandas as pd

from autoencoders.commands.results import result_file
from autoencoders.data.pictures import list_pictures
from autoencoders.errors import printable
from autoencoders.evaluation.anomaly import concatenate
from autoencoders.files.results import replaceable_file
from autoencoders.inference import TrainedModel, load_model

MARK = b"image,mse,"
"""What the CSV begins with."""
MAX_LINES = 20
"""Images that are printed; the CSV file holds all."""
SCORES = {"mse": ("MSE", ".5f"), "neg_elbo": ("−ELBO", ".1f")}
"""Column → (heading, digits); the first ranks the images."""


def anomalies(images: list[Path], *, model: str, out: Path | None = None) -> None:
    """Rank images (files, or folders of them) by how unusual they are to the model, the most unusual first.

    The score is the squared error of the reconstruction; for a VAE the negative ELBO is shown, too. A score above the
    model's threshold, the 99 % quantile of its validation images, is flagged. `model` is the folder of a trained model,
    or an MLflow URI such as models:/mnist-autoencoders@best-vae. With `out`, all scores go to that CSV file.
    """
    if out:
        replaceable_file(out, MARK)
    trained, files = load_model(model), list_pictures(images)
    scores = concatenate(trained.anomaly_scores(x) for x in trained.image_blocks(files))
    table = pd.DataFrame({"image": [file.as_posix() for file in files]})
    for name in (name for name in SCORES if getattr(scores, name) is not None):
        table[name] = getattr(scores, name).numpy()
        table[f"{name}_flagged"] = table[name] > trained.thresholds[name]
    table = table.sort_values("mse", ascending=False, kind="stable", ignore_index=True)
    if out:
        with result_file(out, MARK) as draft:
            table.to_csv(draft, index=False)
    print(_shown(table, trained))
    if out:
        print(printable(f"{out}: all {len(table)} images"))


def _shown(table: pd.DataFrame, trained: TrainedModel) -> str:
    """Return the table for a terminal, scores above their threshold marked with an asterisk."""
    columns = {"image": table["image"][:MAX_LINES].map(printable)}
    limits, counts = [], []
    for name, (heading, digits) in SCORES.items():
        if name in table:
            marks = table[f"{name}_flagged"].map({True: "*", False: " "})
            columns[heading] = (table[name].map(f"{{:{digits}}}".format) + marks)[:MAX_LINES]
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
