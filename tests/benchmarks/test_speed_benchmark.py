import math

import numpy as np
import pandas as pd
import pytest
import speed
import speed_own
import torch
from common import BENCHMARKS, EVAL_BATCH, Images, batch_loss, format_number, format_runs, seeded, train_settings
from peers import clock as clock_module
from peers import plain_torch
from peers.clock import Measurement, TargetReached, TrainingClock, neg_elbo
from peers.plain_torch import ConvVae, DenseVae
from speed_contenders import CONTENDERS, CONV, OWN, OWN_BATCH, RECIPE, Contender
from speed_own import network, products_of
from speed_tables import full_runs, seconds_to_target, tables_of
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from autoencoders.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 1, 28, 28), dtype=np.uint8)
MACHINE = {"precision": "fp32", "threads": 2, "cores": 4, "processor": "some processor", "torch": "2.14.1"}


def rows_of(part: str, *values: tuple[str, str, int, float]) -> pd.DataFrame:
    rows = pd.DataFrame(values, columns=["subject", "metric", "round", "value"])
    return rows.assign(part=part, **MACHINE)[list(speed.COLUMNS)]


# Starting others


@pytest.mark.parametrize(("folder", "spins"), [("", "3000"), ("peers/", "torch's")])
def test_a_script_gets_its_options_its_threads_and_how_they_wait(tmp_path, monkeypatch, folder, spins):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(speed, "BENCHMARKS", tmp_path)
    (tmp_path / "peers").mkdir()
    (tmp_path / folder / "script.py").write_text(
        ("" if folder else "from autoencoders.runtime.process import configure_threads; configure_threads()\n")
        + "import json, os, sys\n"
        + "threads = os.environ['OMP_NUM_THREADS'] + ' ' + os.environ.get('GOMP_SPINCOUNT', \"torch's\")\n"
        + "print('chatter')\n"
        + "print(json.dumps([[threads, json.loads(sys.argv[1])['what'], 1, 2.0, 'fp32']]))\n"
    )
    rows = speed.run_script(f"{folder}script.py", threads=3, what="this")
    assert rows == [Measurement(f"3 {spins}", "this", 1, 2.0, "fp32")]


def test_a_script_that_fails_is_a_mistake_that_ends_with_what_it_said(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("raise OSError('no such thing')")
    with pytest.raises(UserError, match=r"script\.py ended with 1: OSError: no such thing"):
        speed.run_script(str(script), threads=1)


def test_a_part_that_is_measured_again_replaces_its_rows_alone(tmp_path, monkeypatch):
    values = iter([1.0, 2.0, math.pi])

    def part(start: object, repeats: int) -> list[Measurement]:
        return [Measurement("mlp", "step_ms", turn, next(values), "fp32") for turn in range(1, repeats + 1)]

    monkeypatch.setattr(speed, "PARTS", {"peers": part, "step": part})
    for parts in (["step", "peers"], ["step"]):
        speed.benchmark(parts, lambda: [], 1, 3, tmp_path / "s.csv")
    rows = speed.read(tmp_path / "s.csv")
    assert rows[["part", "value", "threads"]].to_numpy().tolist() == [["peers", 2, 3], ["step", 3.14159, 3]]


# The race

A = Contender("A", CONV, 128, "a.py", {}, full="always")
B = Contender("B", CONV, 128, "b.py", {"network": "conv"}, full="once")
C = Contender("C", CONV, 128, "c.py", {})


def test_runs_are_interleaved_and_full_as_often_as_they_should_be():
    calls: list[tuple[object, ...]] = []

    def start(script: str, **options: object) -> list[Measurement]:
        calls.append((script, options["round"], options["epochs"], options.get("images"), options.get("target")))
        return [Measurement(str(options["subject"]), "images_per_second", 1, 1.0, "fp32")]

    rows = speed.race(start, 2, (A, B, C))
    assert calls == [
        ("a.py", 1, 15, None, 105.2),
        ("b.py", 1, 15, None, 105.2),
        ("c.py", 1, 2, 4000, None),
        ("a.py", 2, 15, None, 105.2),
        ("b.py", 2, 2, 4000, None),
        ("c.py", 2, 2, 4000, None),
    ]
    assert [row.subject for row in rows] == list("ABCABC")


def test_a_peer_that_does_not_run_is_left_out_and_the_project_may_not_fail():
    calls: list[str] = []

    def start(script: str, **options: object) -> list[Measurement]:
        calls.append(script)
        if script != "a.py" and options["round"] == 2:
            raise UserError("broken")
        return [Measurement(str(options["subject"]), "images_per_second", 1, 1.0, "fp32")]

    assert {row.subject for row in speed.race(start, 3, (A, B))} == {"A"}
    assert calls == ["a.py", "b.py"] * 2 + ["a.py"]
    with pytest.raises(UserError, match="broken"):
        speed.race(start, 2, [contender for contender in CONTENDERS if contender.name == OWN])


def test_contenders_have_scripts_and_groups_begin_with_another_code():
    assert train_settings().batch_size == OWN_BATCH == RECIPE["batch_size"]
    firsts = {contender.group: contender for contender in reversed(CONTENDERS)}
    assert not any(contender.name.startswith(OWN) for contender in firsts.values())
    assert len({contender.name for contender in CONTENDERS}) == len(CONTENDERS)
    assert all((BENCHMARKS / contender.script).is_file() for contender in CONTENDERS)


@pytest.mark.parametrize(("name", "plain"), [("mlp", DenseVae()), ("conv", ConvVae())])
def test_peers_have_the_projects_network_and_loss(name, plain):
    """With the peer's weights, whose mean and log-variance are two layers where the project's are one."""
    model = network(name)
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    theirs = [layer for part in (plain.encoder, plain.decoder) for layer in part.modules() if isinstance(layer, kinds)]
    head = [layer for layer in model.encoder if isinstance(layer, nn.Linear)][-1]
    ours = [layer for layer in model.modules() if isinstance(layer, kinds) and layer is not head]
    with torch.no_grad():
        for part in ("weight", "bias"):
            getattr(head, part).copy_(torch.cat([getattr(half, part) for half in (plain.mu, plain.logvar)]))
            for mine, other in zip(ours, theirs, strict=True):
                getattr(mine, part).copy_(getattr(other, part))
    x = torch.rand(5, 1, 28, 28, generator=seeded(1))
    torch.manual_seed(3)
    expected = plain.loss(x).item() / len(x)
    assert batch_loss(model, x, seeded(3)).item() == pytest.approx(expected, rel=1e-5)


def test_the_plain_loop_learns(monkeypatch):
    bars = np.zeros((64, 1, 28, 28), np.uint8)
    bars[:, :, :, :14] = 255
    monkeypatch.setattr(clock_module, "load_images", lambda name: Images(bars, bars))
    options = {"network": "conv", "epochs": 12, "round": 1, "subject": "x", "quick": False, "target": 1.0}
    values = {row.metric: row.value for row in plain_torch.train(options)}
    # A grey image costs 784 log 2 = 543 nats.
    assert values["neg_elbo of epoch 12"] < 0.9 * values["neg_elbo of epoch 1"] < 543


# The clock


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def images(monkeypatch) -> None:
    monkeypatch.setattr(clock_module, "load_images", lambda name: Images(IMAGES, IMAGES))


@pytest.fixture
def time(monkeypatch, images) -> Time:
    time = Time()
    monkeypatch.setattr(clock_module.time, "perf_counter", time)
    return time


def grey(z: torch.Tensor) -> torch.Tensor:
    return torch.full((len(z), 784), 0.5)


def test_the_clock_stands_still_while_the_test_images_are_measured(time):
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        time.now += 100
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    clock = TrainingClock({"target": 1.0, "subject": "A", "round": 3}, encode, grey)
    clock.start()
    for seconds in (5.0, 2.0, 3.0):
        time.now += seconds
        clock.epoch_ended()
    assert clock.neg_elbo == [pytest.approx(784 * math.log(2), rel=1e-6)] * 3
    values = {row.metric: row.value for row in clock.rows(1000)}
    assert values["images_per_second"] == 400  # without the first epoch
    assert values["seconds until epoch 3"] == 10.0
    clock.target = 544.0
    with pytest.raises(TargetReached):
        clock.epoch_ended()


def test_the_test_elbo_is_a_closed_form_where_the_code_is_known():
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(x), 3), 2.0), torch.full((len(x), 3), -1.0)

    kl = 3 * 0.5 * (4 + math.exp(-1) - 1 + 1)
    test = np.resize(IMAGES, (EVAL_BATCH + 70, 1, 28, 28))
    assert neg_elbo(encode, grey, test) == pytest.approx(784 * math.log(2) + kl, rel=1e-6)


# The step, its products, and growth


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_products_are_all_that_a_step_multiplies(name):
    model = network(name)
    x = torch.from_numpy(IMAGES[:6]).float() / 255
    with FlopCounterMode(display=False) as step:
        batch_loss(model, x, seeded(0)).backward()
    products = products_of(model, x, torch.float32)
    with FlopCounterMode(display=False) as alone:
        gradients = [product() for product in products]
    assert alone.get_total_flops() == step.get_total_flops() > 0
    assert [len(of_layer) for of_layer in gradients] == [1, *[2] * (len(products) - 1)]  # images need no gradient
    assert products_of(model, x, torch.bfloat16)[0]()[0].dtype == torch.bfloat16


@pytest.fixture
def tiny(monkeypatch, images) -> dict[str, object]:
    """Options of a measure that finds few images and times little."""
    monkeypatch.setattr(speed_own, "STEP_IMAGES", {"mlp": 70})
    monkeypatch.setattr(speed_own, "STEP_BATCHES", (32,))
    monkeypatch.setattr(speed_own, "PRODUCTS_SECONDS", 0.01)
    return {"repeats": 2, "quick": True}


def test_a_step_is_measured_beside_its_products(tiny):
    rows = speed_own.measure_step(tiny)
    values = {row.metric: row.value for row in rows if row.round == 2 and row.subject == "mlp, batch 32"}
    assert values["products_share"] == pytest.approx(values["products_ms"] / values["step_ms"])
    assert values["images_per_second"] == pytest.approx(32 / values["step_ms"] * 1000)


def test_growth_is_measured_of_each_size_in_every_round(tiny):
    rows = speed_own.measure_scaling(tiny)
    assert len(rows) == 2 * (4 + 7) == len({row[:3] for row in rows})
    assert all(row.value > 0 for row in rows)


# Tables

CURVES = rows_of(
    "peers",
    ("pytorch/examples", "images_per_second", 1, 6000.0),
    ("pytorch/examples", "images_per_second", 2, 3000.0),
    *(("pytorch/examples", f"seconds until epoch {epoch}", 1, 10.0 * epoch) for epoch in range(1, 12)),
    *(("pytorch/examples", f"neg_elbo of epoch {epoch}", 1, 116.1 - epoch) for epoch in range(1, 12)),
    ("pythae", "images_per_second", 1, 2400.0),
    ("pythae", "seconds until epoch 1", 1, 30.0),
    ("pythae", "neg_elbo of epoch 1", 1, 110.0),
    (OWN, "images_per_second", 1, 60_000.0),
    (OWN, "images_per_second", 2, 30_000.0),
    *((OWN, "seconds until epoch 1", turn, 5.0 * turn) for turn in (1, 2)),
    *((OWN, "neg_elbo of epoch 1", turn, 105.2) for turn in (1, 2)),
)


def cells_of(text: str) -> list[list[str]]:
    """Return the cells of all tables in a text, without headers' rules."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "--:" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_seconds_to_the_target_are_those_of_the_epoch_that_reached_it():
    values = CURVES.pivot_table("value", ["subject", "metric"], "round", sort=False)
    # The second round's run is short: as many epochs of 60,000 images as the first needed.
    assert seconds_to_target(values, "pytorch/examples").to_dict() == {1: 110.0, 2: 220.0}
    assert seconds_to_target(values, OWN).to_dict() == {1: 5.0, 2: 10.0}
    assert seconds_to_target(values, "pythae").empty  # missed it
    assert full_runs(values, "pythae") == {1: [(30.0, 110.0)]}


def test_the_peers_tables_hold_ratios_taken_within_a_round():
    text = tables_of("peers", CURVES)
    assert text.startswith("Threads: 2. Cores: 4 (some processor). torch 2.14.1. Medians of 2 runs")
    assert "(!): a run is more than 10 % away from the median" in text
    assert cells_of(text)[1:4] == [
        ["pytorch/examples", "11", "105.1", "165 ± 33 % (!)", "22.0 ×"],
        ["pythae", "1", "110.0", "not reached", ""],
        [OWN, "1", "105.2", "7.50 ± 33 % (!)", "1.00 ×"],
    ]
    assert cells_of(text)[5:] == [
        ["784-400-20", "pytorch/examples", "128", "fp32", "4,500 ± 33 % (!)", "1.00 ×"],
        ["784-400-20", "pythae", "128", "fp32", "2,400", "0.400 ×"],
        ["784-400-20", OWN, "256", "fp32", "45,000 ± 33 % (!)", "10.0 ×"],
    ]


def test_other_tables_have_a_line_a_subject_and_a_column_a_metric():
    text = tables_of(
        "memory", rows_of("memory", ("train", "peak_mb", 1, 907.4), ("limit", "images_per_second", 1, 5.0))
    )
    assert text.startswith("Threads: 2. Cores: 4 (some processor). torch 2.14.1. One run.\n")
    assert cells_of(text) == [["", "peak mb", "images per second"], ["train", "907", ""], ["limit", "", "5.00"]]


def test_numbers_have_three_digits_and_what_cannot_be_repeated_is_marked():
    values = {0: "0.00", 33_012: "33,000", 14.96: "15.0", 999.6: "1,000", 0.012345: "0.0123", 1: "1.00"}
    assert {value: format_number(value) for value in values} == values
    assert format_runs(pd.Series([33_000, 33_012, 34_332])) == "33,000 ± 4 %"
    assert format_runs(pd.Series([10, 11, 9.5, 10.5, 8])) == "10.0 ± 20 % (!)"
    assert format_runs(pd.Series([7.0])) == "7.00"


# The documents


@pytest.mark.parametrize("part", ["peers", "step", "scaling", "memory", "evaluation"])
def test_the_document_shows_what_the_file_holds(part):
    rows = speed.read(BENCHMARKS / "speed.csv")
    document = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    for table in tables_of(part, rows[rows["part"] == part]).split("\n\n"):
        assert table.startswith("Threads") or table in document
