import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speed
import speed_contenders
import speed_memory
import speed_rows
import speed_step
from peers import course, plain_loop
from peers.networks import ConvVae, DenseVae
from speed_child import Raw
from speed_contenders import CONTENDERS, CONV, OWN, OWN_BATCH, RECIPE, Contender, race
from speed_rows import Row
from speed_step import Case, default_settings, group_of, layers_of, network, products_of, whole_batches

from autoencoders.errors import UserError
from autoencoders.models import Autoencoder

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 1, 28, 28), dtype=np.uint8)


def test_a_part_that_is_measured_again_replaces_its_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 2.0, 3.0])

    def part(start: object, repeats: int) -> list[Raw]:
        return [Raw("mlp", "step_ms", turn, next(values), "fp32") for turn in range(1, repeats + 1)]

    monkeypatch.setattr(speed, "PARTS", {"peers": part, "step": part})
    out = tmp_path / "s.csv"
    speed.benchmark(["step", "peers"], lambda: [], 1, 3, out)
    speed.benchmark(["step"], lambda: [], 1, 3, out)
    with out.open(newline="") as file:
        found = [(row["part"], row["value"], row["threads"]) for row in csv.DictReader(file)]
    assert found == [("peers", "2", "3"), ("step", "3", "3")]


# Starting others


@pytest.mark.parametrize(("folder", "waiting"), [("", "3000"), ("peers/", "torch's")])
def test_a_script_gets_its_options_its_threads_and_how_they_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, waiting: str
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setattr(speed, "HERE", tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{Path(speed.__file__).parent}:{Path(speed.__file__).parents[1] / 'src'}")
    (tmp_path / "peers").mkdir()
    (tmp_path / folder / "script.py").write_text(
        "import os\n"
        "from speed_child import Raw, child\n"
        "said = os.environ['OMP_NUM_THREADS'] + ' ' + os.environ.get('GOMP_SPINCOUNT', \"torch's\")\n"
        "print('chatter')\n"
        "child(lambda options: [Raw(said, options['what'], 1, len(options), 'fp32')])\n"
    )
    rows = speed.started(f"{folder}script.py", threads=3, data=tmp_path, what="this")
    assert rows == [Raw(f"3 {waiting}", "this", 1, 2, "fp32")]


def test_the_projects_threads_wait_as_its_command_has_them_or_its_user() -> None:
    code = "import os, autoencoders.cli; print({key: value for key, value in os.environ.items() if 'OMP_' in key})"
    environment = {"PYTHONPATH": str(Path(speed.__file__).parents[1] / "src")}
    for own in ({}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}):
        done = subprocess.run([sys.executable, "-c", code], env=environment | own, capture_output=True, text=True)
        assert done.stdout.strip() == str(own or speed.WAITING)


def test_a_script_that_fails_is_a_mistake_that_ends_with_what_it_said(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise OSError('no such thing')")
    with pytest.raises(UserError, match=r"script\.py ended with 1: OSError: no such thing"):
        speed.started(str(script), threads=1, data=tmp_path)


def test_a_package_that_cannot_be_installed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[-2:] == ["pythae==0.1.2", "imageio==2.38.1"]
        assert "--no-deps" in command
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match="cannot be installed: ERROR: No matching distribution"):
        speed_contenders.installed("pythae", tmp_path)
    assert list(tmp_path.iterdir()) == []


# The race

A = Contender("A", CONV, "128", "peers/a.py", {"epochs": 9}, full="always")
B = Contender("B", CONV, "128", "peers/b.py", {"epochs": 9}, package="lightning", full="once")
C = Contender("C", CONV, "128", "peers/c.py", {"network": "conv"})


def test_runs_are_interleaved_and_full_as_often_as_they_should_be() -> None:
    calls: list[tuple[object, ...]] = []

    def start(script: str, **options: object) -> list[Raw]:
        calls.append((script, options["round"], options.get("epochs"), options.get("images"), "target" in options))
        return [Raw(str(options["subject"]), "images_per_second", 1, 1.0, "fp32")]

    rows = race(start, 2, (A, B, C))
    assert calls == [
        ("peers/a.py", 1, 9, None, True),
        ("peers/b.py", 1, 9, None, True),
        ("peers/c.py", 1, 2, 4000, False),
        ("peers/a.py", 2, 9, None, True),
        ("peers/b.py", 2, 2, 4000, False),
        ("peers/c.py", 2, 2, 4000, False),
    ]
    assert [row.subject for row in rows] == list("ABCABC")


def test_a_peer_that_does_not_run_is_said_to_have_not_run_and_is_not_tried_again() -> None:
    calls: list[str] = []

    def start(script: str, **options: object) -> list[Raw]:
        calls.append(script)
        if script == "peers/b.py" and options["round"] == 2:
            raise UserError("no torch for it")
        return [Raw(str(options["subject"]), "images_per_second", 1, 1.0, "fp32")]

    rows = race(start, 3, (A, B))
    assert calls == ["peers/a.py", "peers/b.py"] * 2 + ["peers/a.py"]
    assert [row.metric for row in rows if row.subject == "B"] == ["did not run: no torch for it"]


def test_the_projects_own_failure_is_no_result() -> None:
    def start(script: str, **options: object) -> list[Raw]:
        raise UserError("broken")

    with pytest.raises(UserError, match="broken"):
        race(start, 1, tuple(one for one in CONTENDERS if one.name == OWN))


def test_the_projects_batch_is_that_of_its_parameters() -> None:
    assert default_settings().batch_size == OWN_BATCH == RECIPE["batch_size"]


def test_groups_have_one_network_and_begin_with_another_code() -> None:
    firsts = {one.group: one for one in reversed(CONTENDERS)}
    assert all(not one.name.startswith(OWN) for one in firsts.values())
    assert len({one.name for one in CONTENDERS}) == len(CONTENDERS)


# Contenders train the same networks


def own_weights(model: Autoencoder, plain: DenseVae | ConvVae) -> None:
    """Copy the weights of `plain`, whose mean and log-variance are two layers, into `model`, where they are one."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    halves = [plain.mu, plain.logvar]
    theirs = [one for part in (plain.encoder, plain.decoder) for one in part.modules() if isinstance(one, kinds)]
    ours = [one for one in model.modules() if isinstance(one, kinds)]
    head = [one for one in model.encoder if isinstance(one, nn.Linear)][-1]
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(head, name).copy_(torch.cat([getattr(half, name) for half in halves]))
            for mine, other in zip((one for one in ours if one is not head), theirs, strict=True):
                getattr(mine, name).copy_(getattr(other, name))


@pytest.mark.parametrize(
    ("name", "plain"), [("mlp", DenseVae(400, 20)), ("keras", DenseVae(256, 2)), ("conv", ConvVae(16))]
)
def test_peers_have_the_projects_network_and_loss(name: str, plain: DenseVae | ConvVae) -> None:
    model = network(name)
    own_weights(model, plain)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    expected = plain.loss(x) / len(x)
    torch.manual_seed(3)
    noise = torch.randn(5, model.latent)
    assert model.loss(x, noise)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["keras", "conv"])
def test_plain_loops_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = np.zeros((64, 1, 28, 28), np.uint8)
    bars[:, :, :, :14] = 255
    monkeypatch.setattr(course, "images", lambda options, train=True: bars)
    monkeypatch.setattr(plain_loop, "images", lambda options, train=True: bars)
    rows = plain_loop.train({"network": name, "epochs": 12, "round": 1, "subject": "x", "target": 1.0})
    values = {row.metric: row.value for row in rows}
    # A grey image costs 784 log 2 = 543 nats.
    assert values["neg_elbo of epoch 12"] < 0.9 * values["neg_elbo of epoch 1"] < 543


# The clock


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(course.time, "perf_counter", clock)
    monkeypatch.setattr(course, "images", lambda options, train=True: IMAGES)
    return clock


def test_the_clock_stands_still_while_the_test_images_are_measured(clock: Clock) -> None:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        clock.now += 100
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return torch.full((len(z), 1, 28, 28), 0.5)

    run = course.Course({"target": 1.0, "subject": "A", "round": 3}, encode, decode)
    run.start()
    for seconds in (5.0, 2.0, 3.0):
        clock.now += seconds
        run.epoch_ended()
    assert run.seconds == [5.0, 2.0, 3.0]
    assert run.neg_elbo == [pytest.approx(784 * math.log(2), rel=1e-6)] * 3
    rows = {row.metric: row.value for row in run.rows(1000)}
    assert rows["images_per_second"] == 400  # without the first epoch
    assert rows["seconds until epoch 3"] == 10.0


def test_a_course_ends_where_the_quality_is_reached_but_not_before_its_least_epochs(clock: Clock) -> None:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return torch.full((len(z), 1, 28, 28), 0.5)

    run = course.Course({"target": 544.0, "at_least": 2}, encode, decode)
    run.start()
    run.epoch_ended()
    with pytest.raises(course.Reached):
        run.epoch_ended()


def test_the_test_elbo_is_a_closed_form_where_the_code_is_known() -> None:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(x), 3), 2.0), torch.full((len(x), 3), -1.0)

    kl = 3 * 0.5 * (4 + math.exp(-1) - 1 + 1)
    measured = course.neg_elbo(encode, lambda z: torch.full((len(z), 784), 0.5), IMAGES)
    assert measured == pytest.approx(784 * math.log(2) + kl, rel=1e-6)


# The step and its products


@pytest.mark.parametrize("name", ["mlp", "conv", "keras"])
def test_products_are_all_that_a_step_multiplies(name: str) -> None:
    model = network(name)
    x = torch.from_numpy(IMAGES[:6]).float() / 255
    with FlopCounterMode(display=False) as step:
        model.loss(x, model.sample_noise(6, torch.Generator().manual_seed(0)))["loss"].backward()
    products = products_of(layers_of(model, x), torch.float32)
    with FlopCounterMode(display=False) as alone:
        for product in products:
            product()
    assert alone.get_total_flops() == step.get_total_flops() > 0


def test_products_are_in_the_precision_of_the_step() -> None:
    model = network("keras")
    products = products_of(layers_of(model, torch.zeros(4, 1, 28, 28)), torch.bfloat16)
    assert {product().dtype for product in products} == {torch.bfloat16}  # type: ignore[attr-defined]
    assert len(products) == 4 + 4 + 3  # the first layer passes no gradient on to the images


@pytest.mark.parametrize(
    ("operation", "largest", "group"),
    [
        ("aten::addmm", 10, "products"),
        ("aten::mm", 10**6, "products"),
        ("aten::mkldnn_convolution", 10**6, "products"),
        ("aten::convolution_backward", 10**6, "products"),
        ("aten::binary_cross_entropy_with_logits", 10**6, "loss and other image-sized"),
        ("aten::exp", 40, "small"),
        ("aten::mul", 10**6, "loss and other image-sized"),
        ("aten::_fused_adam_", 10**6, "optimiser"),
        ("aten::index_select", 10**6, "gather and cast"),
        ("aten::div_", 10**6, "gather and cast"),
        ("aten::copy_", 10, "gather and cast"),
    ],
)
def test_operations_are_grouped_by_name_and_size(operation: str, largest: int, group: str) -> None:
    assert group_of(operation, largest, image_sized=10**5) == group


def test_the_shares_of_a_step_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speed_step.IMAGES, "keras", 64)
    rows = speed_step.measure(2, IMAGES, [Case("keras", 32)])
    shares = {row.metric: row.value for row in rows if row.metric.startswith("share of ")}
    assert sum(shares.values()) == pytest.approx(1, abs=0.02)
    assert shares["share of products"] > 0
    assert shares["share of optimiser"] > 0
    values = {row.metric: row.value for row in rows if row.round == 2}
    assert values["products_share"] == pytest.approx(values["products_ms"] / values["step_ms"])
    assert values["images_per_second"] == pytest.approx(32 / values["step_ms"] * 1000)


def test_timed_epochs_are_whole_batches() -> None:
    assert len(whole_batches(IMAGES, 50, 16)) == 48
    assert len(whole_batches(IMAGES, 1000, 16)) == 64
    assert len(whole_batches(IMAGES, 10, 16)) == 16


# Memory


def test_memory_groups_of_both_versions_are_found() -> None:
    root = Path("/groups")
    first = "4:memory:/a/b\n3:cpuset:/\n0::/\n"
    assert speed_memory._memory_group(root, first) == (root / "memory/a/b", {"memory.limit_in_bytes": "{limit}"})
    parent, knobs = speed_memory._memory_group(root, "0::/user.slice/me:1\n")
    assert parent == root / "user.slice/me:1"
    assert knobs == {"memory.max": "{limit}", "memory.swap.max": "0"}


def test_the_large_set_is_as_large_as_it_is_told_and_gone_when_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import speed_child

    monkeypatch.setattr(speed_child, "images_of", lambda data: (IMAGES, IMAGES))
    options = {"data": str(tmp_path), "limit_mb": 1}
    assert speed_memory.write_set(options) == []
    written = np.load(speed_memory.large_file(options), mmap_mode="r")
    assert written.nbytes == pytest.approx(3 * 2**20, abs=784)
    np.testing.assert_array_equal(written[70:140], IMAGES)
    speed_memory.remove_set(options)
    assert list(tmp_path.iterdir()) == []


# The command


def test_the_command_shows_what_the_file_holds_and_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "started", None)
    speed_rows.write(
        tmp_path / "s.csv",
        [Row("evaluation", "NLL, K = 1,000", "seconds", 1, 59.0, "fp32", 2, 4, "some processor", "2.14.1")],
    )
    assert speed.main(["--show", "--out", str(tmp_path / "s.csv"), "--figure", str(tmp_path / "f.png")]) == 0
    assert capsys.readouterr().out.startswith("### Evaluation\n\nThreads: 2.")
    assert (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"
    assert speed.main(["--show", "--out", str(tmp_path / "none.csv")]) == 0
    with pytest.raises(SystemExit):
        speed.main(["--only", "stpe"])
    assert "Did you mean 'step'?" in capsys.readouterr().err


def test_the_process_that_starts_others_stays_small() -> None:
    """A child's largest memory is at least its parent's when it was started."""
    code = "import json, sys, speed; print(json.dumps(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules))))"
    path = f"{Path(speed.__file__).parent}:{Path(speed.__file__).parents[1] / 'src'}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert json.loads(done.stdout) == []
