"""Find the test images nearest to given ones in the latent space."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path

import pandas as pd
import torch

from autoencoders.commands.results import new_folder
from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.pictures import list_pictures
from autoencoders.data.prepared import PreparedData, Split
from autoencoders.errors import UserError, printable
from autoencoders.inference import Neighbours, load_model
from autoencoders.plots.sheets import MAX_QUERIES, retrieved
from autoencoders.plots.style import save

MAX_LINES = 20
"""Images of which the neighbours are printed."""


def neighbours(
    images: list[Path],
    *,
    model: str,
    data: Path = Path("data/prepared"),
    count: int = 5,
    device: str = "auto",
    json: bool = False,
    out: Path | None = None,
) -> None:
    """Print the test images that are nearest to the given ones (files, or folders of them) in the latent space.

    `model` is the folder of a trained model, or an MLflow URI such as models:/mnist-autoencoders@best-vae; `data` is
    what the stage `prepare` wrote. With `out`, that folder gets neighbours.csv and overview.png.
    """
    trained, files, prepared = load_model(model, device), list_pictures(images), PreparedData(data)
    if prepared.info.shape != trained.shape:
        raise UserError(f"{data} holds images {prepared.info.shape}, {trained.name} takes {trained.shape}.")
    x = torch.cat(list(trained.image_blocks(files)))
    test = prepared.split("test")
    codes = torch.cat([trained.encode(x) for x in Batches(test.images, EVAL_BATCH, torch.device("cpu")).in_order()])
    found = trained.neighbours(x, codes, count)
    table = _table(files, found, test, prepared.info.classes)
    if out:
        with new_folder(out) as draft:
            table.to_csv(draft / "neighbours.csv", index=False)
            nearest = torch.from_numpy(test.images[found.indices[:MAX_QUERIES].numpy()]).float() / 255
            classes = table["class"][: MAX_QUERIES * count].tolist() if table["class"].any() else []
            distances = found.distances[:MAX_QUERIES].numpy()
            labels = [] if test.labels is None else test.labels[found.indices[:MAX_QUERIES].flatten().numpy()].tolist()
            figure = retrieved(x[:MAX_QUERIES].numpy(), nearest.numpy(), distances, classes, trained.name, labels)
            save(figure, draft / "overview.png")
    if json:
        print(dumps(table.to_dict("records"), indent=2))
        return
    print(_shown(table, count))
    if out:
        print(printable(f"{out}: neighbours.csv and overview.png"))


def _table(files: Sequence[Path], found: Neighbours, test: Split, classes: list[str] | None) -> pd.DataFrame:
    """Return one row for each neighbour of each image; `class` is empty where the set has no labels."""
    queries, count = found.indices.shape
    indices = found.indices.flatten().numpy()
    names: Sequence[str] = [""] * len(indices)
    if test.labels is not None and classes is not None:
        names = [classes[label] for label in test.labels[indices]]
    return pd.DataFrame(
        {
            "image": [file.as_posix() for file in files for _ in range(count)],
            "rank": list(range(1, count + 1)) * queries,
            "test_index": indices,
            "class": names,
            "distance": found.distances.flatten().numpy(),
        }
    )


def _shown(table: pd.DataFrame, count: int) -> str:
    """Return the table for a terminal: a line for each image, its neighbours side by side."""
    cells = [
        f"{printable(row['class'])} {row['distance']:.2f} #{row['test_index']}".strip()
        for row in table.to_dict("records")
    ]
    lines = [[printable(table["image"][start]), *cells[start : start + count]] for start in range(0, len(cells), count)]
    wide = pd.DataFrame(lines[:MAX_LINES], columns=["image", *(str(rank + 1) for rank in range(count))])
    text = wide.to_markdown(tablefmt="simple", index=False, disable_numparse=True)
    more = f"… and {len(lines) - MAX_LINES} more images\n" if len(lines) > MAX_LINES else ""
    first = "class, " if table["class"].any() else ""
    return f"{text}\n{more}In a cell: {first}Euclidean distance of the codes, # number in the test split."
