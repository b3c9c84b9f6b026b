import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speed_rows
from speed_contenders import OWN
from speed_figure import figure
from speed_part import Part, epochs_to_target, growth, ratios, to_target
from speed_rows import Row, Summary, exponent, number, summary, table
from speed_tables import TABLES

from autoencoders.errors import UserError

MACHINE = (2, 4, "some processor", "2.14.1")


def rows_of(part: str, *raws: tuple[str, str, int, float]) -> list[Row]:
    return [Row(part, subject, metric, turn, value, "fp32", *MACHINE) for subject, metric, turn, value in raws]


# Numbers


def test_a_summary_is_the_median_and_how_far_the_furthest_run_is_from_it() -> None:
    assert summary([10, 11, 9.5, 10.5, 8]) == (10, 0.2, 5)
    assert not summary([10, 11, 9.5, 10.5, 8]).repeatable
    assert summary([100, 110, 90]).repeatable
    assert summary([7.0]) == (7.0, 0.0, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (33_012, "33,000"), (14.96, "15.0"), (999.6, "1,000"), (0.012345, "0.0123"), (1, "1.00")],
)
def test_numbers_are_shown_to_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_what_cannot_be_repeated_is_marked() -> None:
    assert Summary(33_012, 0.04, 5).shown() == "33,000 ± 4 %"
    assert Summary(33_012, 0.104, 5).shown() == "33,000 ± 10 % (!)"
    assert Summary(33_012, 0.0, 1).shown() == "33,000"


def test_exponents_are_those_of_the_law() -> None:
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [3 * size for size in sizes]) == pytest.approx(1)
    assert exponent(sizes, [0.1 * size**2 for size in sizes]) == pytest.approx(2)
    assert exponent(sizes, [5, 5, 5, 5]) == pytest.approx(0)


def test_ratios_are_taken_within_a_round() -> None:
    drifting = {1: 10.0, 2: 20.0, 3: 40.0}
    assert ratios(drifting, {1: 5.0, 2: 10.0, 3: 20.0, 4: 1.0}) == (2.0, 0.0, 3)
    assert ratios(drifting, {}) is None


def test_a_table_is_markdown() -> None:
    assert table(("a", "bb"), [("long", "1"), ("x", "22")]).splitlines() == [
        "| a    | bb |",
        "| ---- | -: |",
        "| long |  1 |",
        "| x    | 22 |",
    ]


# The CSV file


def test_rows_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    rows = rows_of("step", ("mlp, batch 128", "step_ms", 1, 3.5), ("mlp, batch 128", "step_ms", 2, math.pi))
    speed_rows.write(tmp_path / "s.csv", rows)
    back = speed_rows.read(tmp_path / "s.csv")
    assert back[0] == rows[0]
    assert back[1] == rows[1]._replace(value=3.14159)
    assert list(tmp_path.iterdir()) == [tmp_path / "s.csv"]
    assert speed_rows.read(tmp_path / "none.csv") == []


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other\.csv is no table of this benchmark"):
        speed_rows.read(tmp_path / "other.csv")


# Tables and the figure

CURVES = (
    *(("pytorch/examples", f"seconds until epoch {n}", turn, 10.0 * turn * n) for n in range(1, 12) for turn in (1, 2)),
    *(("pytorch/examples", f"neg_elbo of epoch {n}", turn, 116.1 - n) for n in range(1, 12) for turn in (1, 2)),
    *(("pytorch/examples", "images_per_second", turn, 6000.0 / turn) for turn in (1, 2)),
    ("pythae", "seconds until epoch 1", 1, 30.0),
    ("pythae", "neg_elbo of epoch 1", 1, 110.0),
    ("pythae", "seconds until epoch 2", 1, 50.0),
    ("pythae", "neg_elbo of epoch 2", 1, 105.0),
    ("pythae", "images_per_second", 1, 2400.0),
    ("pythae", "images_per_second", 2, 2500.0),
    ("Lightning", "did not run: no such package", 1, math.nan),
    (OWN, "seconds until epoch 1", 1, 5.0),
    (OWN, "neg_elbo of epoch 1", 1, 105.2),
    (OWN, "seconds until epoch 1", 2, 10.0),
    (OWN, "neg_elbo of epoch 1", 2, 105.1),
    (OWN, "images_per_second", 1, 60_000.0),
    (OWN, "images_per_second", 2, 30_000.0),
)  # fmt: skip

GROWTH = (
    *((f"images × {times}", "epoch_seconds", 1, 2.0 * times) for times in (1, 2, 4, 8)),
    *((f"latent {latent}", "epoch_seconds", 1, 1.0) for latent in (2, 128)),
)


def test_seconds_to_the_target_are_those_of_the_epoch_that_reached_it() -> None:
    part = Part(rows_of("peers", *CURVES), "peers")
    assert epochs_to_target(part, "pytorch/examples") == {1: 11, 2: 11}
    assert to_target(part, "pytorch/examples") == {1: 110.0, 2: 220.0}
    # The short run of the second round: as many epochs as the full one of the first.
    assert to_target(part, "pythae") == {1: 50.0, 2: 48.0}
    assert to_target(part, OWN) == {1: 5.0, 2: 10.0}


def test_a_peer_that_missed_the_target_once_has_no_time_to_it() -> None:
    rows = [row for row in CURVES if row[:3] != ("pytorch/examples", "neg_elbo of epoch 11", 2)]
    assert to_target(Part(rows_of("peers", *rows), "peers"), "pytorch/examples") == {}


def cells_of(text: str) -> list[list[str]]:
    """Return the cells of all tables in a text, without headers' rules."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "--:" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_peers_tables_hold_ratios_goals_and_who_did_not_run() -> None:
    text = TABLES["peers"](rows_of("peers", *CURVES))
    assert text.startswith("Threads: 2. Cores: 4 (some processor). torch 2.14.1. Medians of 2 runs")
    assert "(!): a run lies further than 10 % from the median" in text
    assert cells_of(text)[1:6] == [
        ["pytorch/examples, 10 epochs", "10", "106.1", "150 ± 33 % (!)", "20.0 ×", "", ""],
        ["pytorch/examples", "11", "105.1", "165 ± 33 % (!)", "22.0 ×", "≥ 10 ×", "yes"],
        ["pythae", "2", "105.0", "49.0 ± 2 %", "7.40 × (!)", "≥ 20 ×", "no"],
        ["Lightning", "did not run: no such package", "", "", "", "", ""],
        [OWN, "1", "105.2", "7.50 ± 33 % (!)", "", "", ""],
    ]
    assert cells_of(text)[7:] == [
        ["784-400-20", "pytorch/examples", "128", "fp32", "4,500 ± 33 % (!)", "", "", ""],
        ["784-400-20", "pythae", "128", "fp32", "2,450 ± 2 %", "0.617 × (!)", "", ""],
        ["784-400-20", "Lightning", "128", "", "did not run: no such package", "", "", ""],
        ["784-400-20", OWN, "256", "fp32", "45,000 ± 33 % (!)", "10.0 ×", "≥ 7 ×", "yes"],
    ]


def test_the_steps_tables_judge_the_share_of_the_products() -> None:
    values = {"images_per_second": 33_000, "step_ms": 4, "products_ms": 2, "products_share": 0.5}
    step = [("mlp", metric, 1, value) for metric, value in (values | {"share of products": 0.51}).items()]
    cells = cells_of(TABLES["step"](rows_of("step", *step)))
    assert cells[1] == ["mlp", "fp32", "33,000", "4.00", "2.00", "50 %", "≥ 60 %", "no"]
    assert cells[3] == ["mlp", "51 %"]


def test_growth_is_judged_by_its_exponent() -> None:
    cells = cells_of(TABLES["scaling"](rows_of("scaling", *GROWTH)))
    assert ["images × 8", "16.0", "", ""] in cells
    assert ["exponent of images", "1.00", "≤ 1", "yes"] in cells
    assert ["exponent of latent", "0.00", "≤ 1", "yes"] in cells


def test_memory_is_judged_by_its_peak_its_growth_and_the_speed_that_is_left() -> None:
    rows = rows_of(
        "memory",
        ("autoencoders train", "peak_mb", 1, 1600),
        ("epoch 1", "resident_mb", 1, 300),
        ("epoch 2", "resident_mb", 1, 400),
        ("epoch 30", "resident_mb", 1, 408),
        ("without a limit", "images_per_second", 1, 1000),
        ("limit 800 MB", "images_per_second", 1, 600),
    )
    cells = cells_of(TABLES["memory"](rows))
    assert ["largest, autoencoders train", "1,600 MB", "< 1,500 MB", "no"] in cells
    assert ["growth after the second epoch", "2 %", "≤ 5 %", "yes"] in cells
    assert ["with the limit, of the speed without", "60 %", "≥ 50 %", "yes"] in cells
    unlimited = [*rows[:-1], *rows_of("memory", ("larger than memory", "did not run: not root", 1, math.nan))]
    assert ["larger than memory", "did not run: not root", "", ""] in cells_of(TABLES["memory"](unlimited))


def test_evaluation_is_judged_by_its_seconds() -> None:
    values = (("10,000 test images, no NLL", "seconds", 1, 11), ("NLL, K = 1,000", "seconds", 1, 59))
    cells = cells_of(TABLES["evaluation"](rows_of("evaluation", *values)))
    assert [line[1:] for line in cells[1:]] == [["11.0", "< 10", "no"], ["59.0", "< 60", "yes"]]


def test_the_figure_draws_what_was_measured() -> None:
    scaling = rows_of("scaling", *GROWTH)
    assert growth(Part(scaling, "scaling"), "images ×") == [(1, 2), (2, 4), (4, 8), (8, 16)]
    drawn = figure(rows_of("peers", *CURVES) + scaling)
    quality, throughput, costs = drawn.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in quality.lines}  # type: ignore[union-attr]
    assert lines["pythae"] == [[30.0, 110.0], [50.0, 105.0]]
    assert lines[OWN] == [[5.0, 105.2]]
    assert sorted(bar.get_width() for bar in throughput.patches) == [2450, 4500, 45_000]  # type: ignore[attr-defined]
    assert [line.get_label() for line in costs.lines] == ["images: exponent 1.00", "latent: exponent 0.00", "linear"]
