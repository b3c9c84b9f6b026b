"""Measure the quality of the project's models by published protocols, and print it beside the published numbers.

    python benchmarks/quality.py

See benchmarks/README.md for the protocols and for what to expect.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch_threads  # noqa: F401  # isort: skip  # before torch
from autoencoders.runtime.process import exit_code  # isort: skip

import pandas as pd
from common import Images, command_line, load_images, measure, out_file, read_csv, some_of, write_csv
from quality_defaults import CASES, PHOTOGRAPHS, photographs
from quality_defaults import benchmark as benchmark_defaults
from quality_protocols import KINDS, train

from autoencoders.report.references import references_for
from autoencoders.training.device import make_deterministic, resolve_device

COLUMNS = ("protocol", "dataset", "model", "metric", "measured", "reference", "target", "met", "seconds")
KEY = list(COLUMNS[:4])
SETS = ("mnist", "fashion-mnist")
DEFAULTS = "defaults"
"""The pipeline's own models against PCA, in `quality_defaults.py`; all others are published protocols."""
PCA_TOLERANCE = 1e-6
MODELS = {
    "pca": {f"pca-{k}": ["mse"] for k in (2, 8, 16, 20, 32)},
    "p1": {"ae-16": ["mse"], "vae-16": ["mse", "neg_elbo"]},
    "keras": {"vae-2": ["neg_elbo", "kl", "mse"]},
    "pytorch": {"vae-20": ["neg_elbo", "kl"]},
}
"""Protocol → model → what is compared."""
REPORTED_AS = {"pca": "P1", "p1": "P1", "keras": "Keras", "pytorch": "PyTorch"}
"""Protocol → its name among the report's references."""
TARGETS = {
    ("p1", "ae-16", "mse"): (0.0090, 0.0105),
    ("p1", "vae-16", "mse"): (0.0100, 0.0127),
    ("keras", "vae-2", "neg_elbo"): (154.0, 266.0),
    ("pytorch", "vae-20", "neg_elbo"): (106.0, 245.0),
}
"""Protocol, model, metric → the most that is allowed on each of `SETS`; PCA must be as near as `PCA_TOLERANCE`."""


class Figure(NamedTuple):
    """One number to reach, or, where `target` is None, one to compare with."""

    protocol: str
    dataset: str
    model: str
    """Kind and latent dimensions, such as `vae-16`."""
    metric: str
    references: tuple[float, ...]
    """One, or the ends of the range over several seeds."""
    target: float | None

    def met(self, measured: float) -> bool | None:
        """Return whether `measured`, not rounded, meets the target; None where there is none."""
        if self.target is None:
            return None
        return abs(measured - self.target) <= PCA_TOLERANCE if self.protocol == "pca" else measured <= self.target

    def row(self, measured: float, seconds: float) -> dict[str, str]:
        """Return the columns of the file after `KEY`: the value to eight digits, the reference to those known."""
        digits = {"pca": 6, "keras": 4}.get(self.protocol, 5) if self.metric == "mse" else 1
        goal = f"± {PCA_TOLERANCE:g}" if self.protocol == "pca" else f"≤ {self.target:g}" if self.target else ""
        return {
            "measured": f"{measured:.8g}",
            "reference": "–".join(f"{value:.{digits}f}" for value in self.references),
            "target": goal,
            "met": {None: "", True: "yes", False: "no"}[self.met(measured)],
            "seconds": f"{seconds:.1f}",
        }


def figures_of(protocols: Iterable[str], sets: Iterable[str]) -> list[Figure]:
    """Return the figures of these protocols and data sets, in the order in which they are measured."""
    return [
        _figure(protocol, dataset, model, metric)
        for protocol in protocols
        for dataset in sets
        for model, metrics in MODELS[protocol].items()
        for metric in metrics
    ]


def _figure(protocol: str, dataset: str, model: str, metric: str) -> Figure:
    kind, latent = model.split("-")
    key = (REPORTED_AS[protocol], KINDS[kind], int(latent))
    [references] = [known.figures[metric] for known in references_for(dataset) if known[:3] == key]
    targets = {name: values[SETS.index(dataset)] for name, values in TARGETS.items()}
    target = references[0] if protocol == "pca" else targets.get((protocol, model, metric))
    return Figure(protocol, dataset, model, metric, references, target)


def benchmark(
    figures: Sequence[Figure],
    out: Path,
    images_of: Callable[[str], Images],
    again: bool = False,
    epochs: int | None = None,
) -> int:
    """Measure what the file `out` lacks of `figures`, print them all, and return how many targets are missed.

    The figures of a model are kept as soon as it is measured. Where one is missing, all of that model are measured.
    """
    device = resolve_device("auto")
    make_deterministic(device)
    for (protocol, dataset, name), group in groupby(figures, lambda figure: figure[:3]):
        of_model, rows = list(group), read(out)
        if not again and all(figure[:4] in rows.index for figure in of_model):
            continue
        print(f"{protocol}: {name} on {dataset} …", file=sys.stderr, flush=True)
        images = images_of(dataset)
        model, seconds = train(protocol, name, images.train, device, epochs)
        measured = measure(model, images.test, device)
        rows = read(out)  # another call may have written meanwhile
        for figure in of_model:
            rows.loc[figure[:4], :] = figure.row(measured[figure.metric], seconds)
        order = [figure[:4] for figure in figures_of(MODELS, SETS) if figure[:4] in rows.index]
        write_csv(out, rows.loc[order].reset_index())
    rows = read(out).loc[[figure[:4] for figure in figures]]
    print(rows.reset_index().to_markdown(index=False, disable_numparse=True))
    met, missed = (int((rows["met"] == verdict).sum()) for verdict in ("yes", "no"))
    print(f"\n{met} of {met + missed} targets met; kept in {out}")
    return missed


def read(path: Path) -> pd.DataFrame:
    """Return the kept rows as text, by protocol, data set, model and metric."""
    return read_csv(path, COLUMNS, dtype=str, keep_default_na=False).set_index(KEY)


def main() -> None:
    """Run the command line; exits with 1 where a target is missed."""
    parser = command_line(__doc__, "quality")
    known = [*MODELS, DEFAULTS]
    parser.add_argument("--only", metavar="A,B", help=f"some of the protocols {', '.join(known)}")
    all_sets = list(dict.fromkeys([*SETS, *(case.dataset for case in CASES)]))
    parser.add_argument("--sets", metavar="A,B", help=f"some of {', '.join(all_sets)}")
    parser.add_argument("--again", action="store_true", help="measure again what the CSV file already holds")
    options = parser.parse_args()
    chosen, sets, missed = some_of(options.only, known), some_of(options.sets, all_sets), 0
    out = out_file(options, "quality")
    if figures := figures_of([name for name in chosen if name != DEFAULTS], [name for name in sets if name in SETS]):
        missed += benchmark(figures, out, load_images, options.again, 1 if options.quick else None)
    if DEFAULTS in chosen:
        cases = [case for case in CASES if case.dataset in sets]
        beside = out.with_name(f"{out.stem}-{DEFAULTS}.csv")
        quick = {"seeds": 1, "steps": 20} if options.quick else {}
        missed += benchmark_defaults(cases, beside, images_of, options.again or options.quick, **quick)
    sys.exit(1 if missed else 0)


def images_of(dataset: str) -> Images:
    """Return the images of a data set, or the photographs of one object, of which 150 are for testing."""
    if dataset != PHOTOGRAPHS:
        return load_images(dataset)
    images = photographs()
    return Images(images[150:], images[:150])


if __name__ == "__main__":
    sys.exit(exit_code(main))
