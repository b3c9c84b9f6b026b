"""Measure the quality of the project's models by the protocols of others, beside the numbers that those measured.

    python benchmarks/quality.py

See benchmarks/README.md for the protocols and for what to expect.
"""

import argparse
import csv
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from quality_reference import FIGURES, PROTOCOLS, SETS, Figure, Run

from autoencoders.errors import UserError, suggestion

if TYPE_CHECKING:
    from quality_protocols import Images

HERE = Path(__file__).resolve().parent
COLUMNS = ("protocol", "dataset", "model", "metric", "measured", "reference", "target", "met", "seconds")
WIDTHS = (8, 13, 6, 8, 9, 13, 8, 3, 7)
Row = dict[str, str]


class Measured(NamedTuple):
    """A measured value, and the seconds that training its model took."""

    value: float
    seconds: float


class Results:
    """The measured figures, kept in a CSV file, one row a figure. Raises `UserError` where that file is another's.

    The file holds measurements; references, targets and verdicts are written anew from `FIGURES` each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._measured = self._read()

    def __contains__(self, figure: Figure) -> bool:
        return _key(figure) in self._measured

    def __getitem__(self, figure: Figure) -> Measured:
        return self._measured[_key(figure)]

    def add(self, figures: Iterable[Figure], metrics: Mapping[str, float], seconds: float) -> None:
        """Store what a run measured. The file is replaced as a whole: an interruption leaves the old or the new one."""
        self._measured = self._read() | {_key(one): Measured(metrics[one.metric], seconds) for one in figures}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        with draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row(one, self[one]) for one in FIGURES if one in self)
        draft.replace(self.path)

    def _read(self) -> dict[tuple[str, ...], Measured]:
        if not self.path.exists():
            return {}
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            try:
                return {
                    tuple(line[name] for name in COLUMNS[:4]): Measured(float(line["measured"]), float(line["seconds"]))
                    for line in rows
                }
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"{self.path}, line {rows.line_num}, is no row of this benchmark ({error}). "
                    "Move the file away, or name another with --out."
                ) from error


def row(figure: Figure, measured: Measured) -> Row:
    """Return a figure's row as text, the value to eight digits."""
    met = figure.met(measured.value)
    values = (
        *_key(figure),
        f"{measured.value:.8g}",
        figure.reference,
        figure.goal,
        "" if met is None else "yes" if met else "no",
        f"{measured.seconds:.1f}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def line(figure: Figure, measured: Measured) -> str:
    """Return a figure's row as a line of a Markdown table."""
    return _line({**row(figure, measured), "measured": figure.shown(measured.value, more=1)}.values())


def pending(figures: Iterable[Figure], results: Results, again: bool) -> dict[Run, list[Figure]]:
    """Return the runs to do, each with all figures that it yields: those of which a figure is missing, or all."""
    runs: dict[Run, list[Figure]] = {}
    for figure in figures:
        runs.setdefault(figure.run, []).append(figure)
    return {run: of for run, of in runs.items() if again or not all(one in results for one in of)}


def chosen(protocols: Sequence[str], sets: Sequence[str]) -> list[Figure]:
    """Return the figures of these protocols and data sets."""
    return [one for one in FIGURES if one.run.protocol in protocols and one.run.dataset in sets]


def load_images(name: str, cache_folder: Path, mirror: str | None) -> "Images":
    """Return all training and all test images of the set `name`, downloaded and prepared where they are not yet.

    The validation image that `prepare` splits off is joined to the training images again.
    """
    import numpy as np
    from quality_protocols import Images

    from autoencoders.data.prepared import PreparedData
    from autoencoders.params import parse_params
    from autoencoders.stages.download import download
    from autoencoders.stages.prepare import prepare

    folder = cache_folder / name
    if not (folder / "prepared" / "dataset.json").exists():
        models = {"unused": {"kind": "pca", "latent": 1}}  # a params.yaml has a model, and these stages need none
        raw = {"data": {"name": name, "mirror": mirror}, "prepare": {"validation": 1}, "models": models}
        params = parse_params(raw, source="quality.py")
        download(params, out=folder / "raw")
        prepare(params, raw=folder / "raw", out=folder / "prepared", card=folder / "card")
    data = PreparedData(folder / "prepared")
    train = np.concatenate([data.split(split).images for split in ("train", "val")])
    return Images(train, data.split("test").images)


def benchmark(
    figures: Sequence[Figure],
    results: Results,
    images_of: Callable[[str], "Images"],
    again: bool = False,
    epochs: int | None = None,
) -> int:
    """Measure what is missing of `figures`, print them all in order, and return how many targets are missed."""
    todo = pending(figures, results, again)
    for dataset in dict.fromkeys(run.dataset for run in todo):
        images_of(dataset)  # what downloading prints goes before the table
    print(_line(COLUMNS), _line("-" * width for width in WIDTHS), sep="\n")
    for figure in figures:
        if figure.run in todo:
            of = todo.pop(figure.run)
            results.add(of, *_train_and_measure(figure.run, images_of(figure.run.dataset), epochs))
        print(line(figure, results[figure]), flush=True)
    verdicts = [verdict for one in figures if (verdict := one.met(results[one].value)) is not None]
    print(f"\n{sum(verdicts)} of {len(verdicts)} targets met; kept in {results.path}")
    return verdicts.count(False)


def _train_and_measure(run: Run, images: "Images", epochs: int | None) -> tuple[dict[str, float], float]:
    from quality_protocols import measure, train

    from autoencoders.training.device import make_deterministic, resolve_device

    device = resolve_device("auto")
    make_deterministic(device)
    model, seconds = train(run.protocol, run.model, images.train, device, epochs)
    return measure(model, images.test, device), seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 where a target is missed, 2 on a user's mistake, 130 on an interruption."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.epochs and options.out == HERE / "quality.csv":
        parser.error("--epochs is no protocol's: name another file with --out")
    # torch and numpy read these when they are imported, which is why nothing above imports them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait by spinning starve each other
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)
    try:
        images_of = cache(partial(load_images, cache_folder=options.data, mirror=options.mirror))
        figures = chosen(options.only, options.sets)
        return int(benchmark(figures, Results(options.out), images_of, options.again, options.epochs) > 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--mirror", metavar="DIR", help="folder or URL to look for MNIST/raw/… in first (default: $AUTOENCODERS_MIRROR)"
    )
    data = HERE.parent / ".cache" / "benchmarks"
    parser.add_argument(
        "--data", type=Path, default=data, metavar="DIR", help="where the images are kept (default: .cache/benchmarks)"
    )
    for option, known in (("--only", PROTOCOLS), ("--sets", SETS)):
        parser.add_argument(
            option, type=partial(some_of, known), default=known, metavar="A,B", help=f"some of {','.join(known)}"
        )
    parser.add_argument("--threads", type=count, metavar="N", help="threads on the CPU (default: as torch chooses)")
    parser.add_argument("--again", action="store_true", help="measure anew what the CSV file holds already")
    parser.add_argument(
        "--out", type=Path, default=HERE / "quality.csv", metavar="FILE", help="default: benchmarks/quality.csv"
    )
    parser.add_argument("--epochs", type=count, help=argparse.SUPPRESS)  # to see in seconds that all runs
    return parser


def some_of(known: Sequence[str], text: str) -> list[str]:
    """Return the names that an option lists, separated by commas; all must be `known`."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"unknown {name!r}.{suggestion(name, known)} Known: {', '.join(known)}, separated by commas"
            )
    return names


def count(text: str) -> int:
    """Return the number, 1 or more, that an option gives."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text!r}")
    return int(text)


def _key(figure: Figure) -> tuple[str, str, str, str]:
    return (*figure.run, figure.metric)


def _line(values: Iterable[str]) -> str:
    return f"| {' | '.join(value.ljust(width) for value, width in zip(values, WIDTHS, strict=True))} |"


if __name__ == "__main__":
    sys.exit(main())
