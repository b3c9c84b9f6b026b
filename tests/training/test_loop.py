import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from math import exp
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Normal, kl_divergence

from autoencoders.data.batches import Batches
from autoencoders.errors import UserError
from autoencoders.models.logistic import log_probability
from autoencoders.models.vae import VAE
from autoencoders.params import Train, Vae
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.loop import DECAY, MetricSums, Progress, fit, validated_steps

CPU = torch.device("cpu")
IMAGES = np.zeros((70, 1, 6, 6), dtype=np.uint8)
IMAGES[::2] = 255  # all black or all white: something that can be learned


ENTRY = Vae(latent=2, hidden=[8])


class Killed(Exception):
    pass


def vae(seed: int = 0, **changes: Any) -> VAE:
    return VAE(ENTRY.model_copy(update=changes), (1, 6, 6), torch.Generator().manual_seed(seed))


def train(
    settings: Train | None = None,
    model: VAE | None = None,
    checkpoint: Checkpoint | None = None,
    arch: str = "mlp",
    **options: Any,
) -> tuple[VAE, Progress]:
    """Train, from the checkpoint if there is one."""
    settings = settings or Train(steps=25, batch_size=16, learning_rate=0.01, schedule="cosine", warmup=0.2)
    model = model or vae(settings.seed, arch=arch)
    options |= {"checkpoint": checkpoint, "resume": checkpoint.load() if checkpoint else None}
    return model, fit(
        model, Batches(IMAGES, settings.batch_size, CPU), Batches(IMAGES[:9], 4, CPU), settings, **options
    )


def flat(model: VAE) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_training_lowers_the_loss_and_counts_every_validation_from_the_untrained_model_on():
    began = time.perf_counter()
    _, progress = train(Train(steps=90, batch_size=4, learning_rate=0.02))  # 18 steps an epoch
    history = progress.history
    assert 0 < sum(row["seconds"] for row in history) <= time.perf_counter() - began
    assert [row["step"] for row in history] == [*range(0, 90, 5), 90]
    assert [row["epoch"] for row in history] == [row["step"] / 18 for row in history]
    assert history[-1]["val/loss"] < history[0]["val/loss"] - 1
    assert history[-1]["val/elbo"] == pytest.approx(-history[-1]["val/recon"] - history[-1]["val/kl"])
    assert history[1].keys() - history[0].keys() == {"lr", "train/loss", "train/recon", "train/kl"}


@pytest.mark.parametrize(
    ("steps", "epoch", "expected"),
    [
        (1, 5, [0, 1]),
        (20, 5, list(range(21))),
        (25, 5, [*range(0, 25, 2), 25]),
        (1500, 215, range(0, 1501, 75)),
        (1500, 2, range(0, 1501, 75)),  # a small set needs no validation each epoch
        (8600, 215, range(0, 8601, 215)),
        (8700, 215, [*range(0, 8601, 215), 8700]),
    ],
)
def test_validations_are_at_even_distances_some_twenty_of_them_or_one_in_a_long_epoch(steps, epoch, expected):
    assert list(validated_steps(steps, epoch)) == list(expected)


@given(st.integers(1, 5000), st.integers(1, 500))
def test_the_untrained_model_and_the_last_step_are_always_validated(steps, epoch):
    validated = list(validated_steps(steps, epoch))
    distances = np.diff(validated)
    assert (validated[0], validated[-1]) == (0, steps)
    assert 0 < distances.min() <= distances.max() == distances[0] <= -(-steps // 20)
    assert set(distances[:-1]) <= {distances[0]}
    if epoch >= 100:
        assert distances.max() <= epoch
    else:
        assert len(distances) <= 20


def test_the_first_row_is_the_untrained_model_s_which_may_be_the_best():
    model, before = vae(), flat(vae())
    _, progress = train(Train(steps=40, batch_size=70, learning_rate=1.0), model)
    assert progress.best_step == 0
    assert torch.equal(flat(model), before)
    assert progress.history[0]["val/loss"] == progress.best < min(row["val/loss"] for row in progress.history[1:])


def test_train_losses_are_those_of_the_steps_since_the_last_validation():
    class Watched(VAE):
        def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
            losses = super().loss(x, noise, weights)
            if self.training:
                seen.append((losses["loss"].item(), len(x)))
            return losses

    seen: list[tuple[float, int]] = []
    _, progress = train(model=Watched(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0)))
    assert [count for _, count in seen] == [16, 16, 16, 16, 6] * 5
    for before, row in pairwise(progress.history):
        part = seen[int(before["step"]) : int(row["step"])]
        mean = sum(loss * count for loss, count in part) / sum(count for _, count in part)
        assert row["train/loss"] == pytest.approx(mean)


def test_a_batch_larger_than_the_set_is_the_whole_set():
    one, _ = train(Train(steps=7, batch_size=70, learning_rate=0.01))
    larger, progress = train(Train(steps=7, batch_size=1000, learning_rate=0.01))
    assert torch.equal(flat(one), flat(larger))
    assert [row["epoch"] for row in progress.history] == list(range(8))


def test_equal_seeds_give_equal_weights_and_others_do_not():
    torch.manual_seed(torch.randint(100, ()).item())
    assert torch.equal(flat(train()[0]), flat(train()[0]))
    assert not torch.equal(flat(train()[0]), flat(train(Train(steps=25, batch_size=16, seed=1))[0]))


@pytest.mark.parametrize(
    ("killed_in", "arch"), [(1, "mlp"), (2, "mlp"), (3, "mlp"), (10, "mlp"), (11, "mlp"), (25, "mlp"), (14, "conv")]
)
def test_a_training_killed_at_any_step_resumes_to_the_same_weights_bit_for_bit(where, killed_in, arch):
    """Validations, at every second of 25 steps, are mostly in the middle of an epoch of five."""
    whole, history = train(arch=arch)
    steps = iter(range(1, 1000))

    def kill() -> None:
        if next(steps) == killed_in:
            raise Killed

    checkpoint = Checkpoint(where, "same")
    resumed_steps: list[float] = []
    with checkpoint.acquire():
        with pytest.raises(Killed):
            train(arch=arch, checkpoint=checkpoint, on_batch=kill)
        resumed, after = train(
            arch=arch, checkpoint=checkpoint, on_validation=lambda row: resumed_steps.append(row["step"])
        )
    assert resumed_steps == [row["step"] for row in history.history if row["step"] >= killed_in]
    assert torch.equal(flat(whole), flat(resumed))
    timeless = [[{**row, "seconds": 0, "timestamp": 0} for row in found.history] for found in (after, history)]
    assert timeless[0] == timeless[1]


@given(st.integers(1, 40), st.integers(1, 80), st.lists(st.integers(1, 12), max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_training_interrupted_anywhere_any_number_of_times_ends_with_the_same_weights(steps, batch_size, kills):
    chosen = Train(steps=steps, batch_size=batch_size, learning_rate=0.01, schedule="cosine", warmup=0.2)
    whole, _ = train(chosen)
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "vae", "same")
        with checkpoint.acquire():
            for after in kills:
                remaining = iter(range(after, -1, -1))

                def kill(remaining: Iterator[int] = remaining) -> None:
                    if not next(remaining):
                        raise Killed

                with suppress(Killed):
                    train(chosen, checkpoint=checkpoint, on_batch=kill)
            resumed, _ = train(chosen, checkpoint=checkpoint)
    assert torch.equal(flat(whole), flat(resumed))


def test_a_training_whose_store_goes_away_ends_with_the_same_weights(flaky):
    whole, _ = train()
    checkpoint = Checkpoint("flaky://bucket/vae", "same")
    said: list[str] = []
    checkpoint.warn = said.append
    state = {2: {"pipe_file"}, 4: {"rm_file"}}

    def outage(row: dict[str, float]) -> None:
        flaky.update(state.get(int(row["step"]), set()))

    trained, _ = train(checkpoint=checkpoint, on_validation=outage)
    checkpoint.finish(Path())
    assert torch.equal(flat(whole), flat(trained))
    assert len(said) == 2
    assert said[0].startswith("warning: no checkpoint: flaky://bucket/vae: ")
    assert said[1].startswith("warning: the checkpoint is left, though no longer needed: ")
    flaky.clear()
    loaded = checkpoint.load()
    assert loaded["progress"]["step"] == 2


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_a_training_equals_plain_steps_of_torch_s_adam(likelihood):
    """Whatever makes the loop faster: its loss and its steps are those of the formulas, in torch's own order."""

    trained, plain = vae(arch="conv", likelihood=likelihood), vae(arch="conv", likelihood=likelihood)
    _, progress = train(Train(steps=1, batch_size=70, learning_rate=0.01), trained)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    x, noise = (torch.from_numpy(IMAGES)[order] / 255), torch.randn(70, 2, generator=torch.Generator().manual_seed(2))
    mu, logvar = plain.encoder(x).chunk(2, 1)
    decoded = plain.decoder(mu + noise * (logvar / 2).exp())
    pixels = decoded + (decoded.clamp(0, 1) - decoded).detach()  # gradients pass the clamp
    if likelihood == "bernoulli":
        log_likelihood = Bernoulli(logits=decoded).log_prob(x)
    elif likelihood == "gaussian":
        log_likelihood = Normal(pixels, plain.log_sigma.exp()).log_prob(x)
    else:
        log_likelihood = log_probability(x, decoded, plain.log_scale)
    loss = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum() - log_likelihood.sum()
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    (loss / 70).backward()
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            weight.mul_(exp(-0.01 * DECAY * 2 / 70) if ".network." in name else 1)  # 2 latent dimensions, 70 images
    optimizer.step()
    assert progress.history[1]["train/loss"] == pytest.approx(loss.item() / 70, rel=1e-5)
    for (name, weight), reference in zip(trained.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, reference, atol=1e-5, rtol=1e-4, msg=name)
        if weight.dim() == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last)


class BreaksAt(VAE):
    """A VAE whose loss is not finite in one step of the training."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
        self.remaining, self.value = step, value
        self.before: torch.Tensor | None = None

    def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
        losses = super().loss(x, noise, weights)
        self.remaining -= self.training
        if self.remaining == 0:
            self.before = flat(self)
            losses["loss"] = losses["loss"] * self.value
        return losses


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step_and_says_where(tmp_path, value):
    model = BreaksAt(step=8, value=value)
    checkpoint = Checkpoint(tmp_path, "same")
    with pytest.raises(UserError, match=r"at step 8\..*learning_rate.*grad_clip"):
        train(model=model, checkpoint=checkpoint)
    assert torch.equal(flat(model), model.before)
    saved = checkpoint.load()
    assert saved["progress"]["step"] == 6
    assert all(value.isfinite().all() for value in saved["model"].values())


class Explodes(VAE):
    """A VAE that the last step before a validation breaks: no loss of the training tells, only the validation's."""

    def __init__(self, validation: int) -> None:
        super().__init__(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
        self.validation, self.validations = validation, 0

    def eval(self) -> "Explodes":
        self.validations += 1
        if self.validations == self.validation:
            with torch.no_grad():
                next(self.parameters()).fill_(torch.nan)
        return super().eval()


def test_a_validation_loss_that_is_not_finite_stops_before_the_checkpoint_and_resumes_from_the_last(tmp_path):
    checkpoint = Checkpoint(tmp_path, "same")
    steps: list[float] = []
    with pytest.raises(UserError, match=r"validation loss became NaN or infinite at step 4\..*learning_rate"):
        train(model=Explodes(3), checkpoint=checkpoint, on_validation=lambda row: steps.append(row["step"]))
    assert steps == [0, 2]
    saved = checkpoint.load()
    assert saved["progress"]["step"] == 2
    assert all(value.isfinite().all() for value in saved["model"].values())
    resumed, _ = train(checkpoint=checkpoint, on_validation=lambda row: steps.append(row["step"]))
    assert steps == [*range(0, 25, 2), 25]
    assert torch.equal(flat(resumed), flat(train()[0]))


def test_a_gradient_that_is_not_finite_stops_before_the_step_where_gradients_are_clipped():
    model = vae()
    weight = next(model.parameters())
    weight.register_hook(lambda gradient: gradient * torch.inf)
    before = flat(model)
    with pytest.raises(UserError, match=r"the loss or its gradient became NaN or infinite at step 1\."):
        train(Train(steps=5, batch_size=16, grad_clip=1.0), model)
    assert torch.equal(flat(model), before)


def test_the_weights_are_those_of_the_best_validation():
    kept: dict[int, torch.Tensor] = {}
    settings = Train(steps=25, batch_size=16, learning_rate=0.3)
    model = vae()
    _, progress = train(settings, model, on_validation=lambda row: kept.update({int(row["step"]): flat(model)}))
    best = min(progress.history, key=lambda row: row["val/loss"])
    assert 0 < progress.best_step == best["step"] < 25
    assert torch.equal(flat(model), kept[progress.best_step])


def test_of_equal_validations_the_first_is_kept():
    class Flat(VAE):
        """A VAE that every validation finds as good as before."""

        def validation_losses(self, x: torch.Tensor, noise: torch.Tensor | None) -> dict[str, torch.Tensor]:
            return {**super().validation_losses(x, noise), "loss": torch.ones(())}

    kept: dict[int, torch.Tensor] = {}
    model = Flat(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
    _, progress = train(model=model, on_validation=lambda row: kept.update({int(row["step"]): flat(model)}))
    assert (progress.best, progress.best_step, progress.step) == (1, 0, 25)
    assert torch.equal(flat(model), kept[0])


def test_early_stopping_waits_for_patience_validations_also_once_resumed(tmp_path):
    settings = Train(steps=250, batch_size=16, learning_rate=0.3, patience=3)
    _, progress = train(settings)
    assert progress.step == progress.best_step + 3 * 13 < 250
    steps = iter(range(1, 1000))

    def kill() -> None:
        if next(steps) == progress.step - 6:
            raise Killed

    checkpoint = Checkpoint(tmp_path, "same")
    with pytest.raises(Killed):
        train(settings, checkpoint=checkpoint, on_batch=kill)
    assert train(settings, checkpoint=checkpoint)[1].step == progress.step
    assert train(settings, checkpoint=checkpoint)[1].step == progress.step  # stopped just before the model was stored


def test_kl_warmup_halves_the_weight_at_first_and_validates_with_the_full_one():
    betas: list[float] = []

    class Watched(VAE):
        def loss_weights(self, progress: float | None = None) -> Mapping[str, float]:
            weights = super().loss_weights(progress)
            betas.append(weights["beta"] if self.training else -weights["beta"])
            return weights

    entry = Vae(latent=2, hidden=[8], beta=2.0, kl_warmup=0.4)  # 10 of 25 steps
    train(model=Watched(entry, (1, 6, 6), torch.Generator().manual_seed(0)))
    assert [beta for beta in betas if beta > 0] == [*[1.0] * 10, *[2.0] * 15]
    assert {beta for beta in betas if beta < 0} == {-2.0}
    plain = Vae(latent=2, hidden=[8], beta=2.0)
    assert VAE(plain, (1, 6, 6)).loss_weights(0.01) == VAE(plain, (1, 6, 6)).loss_weights() == {"beta": 2.0}


def test_gradient_clipping_bounds_the_step():
    start = flat(vae())
    clipped, _ = train(Train(steps=1, batch_size=70, learning_rate=1e-3, grad_clip=1e-12))
    free, _ = train(Train(steps=1, batch_size=70, learning_rate=1e-3))
    # Adam divides by √v + 1e-8: gradients far below 1e-8 hardly move a weight, any other moves it by the learning rate
    assert (flat(clipped) - start).abs().max() < 1e-6
    assert (flat(free) - start).abs().max() == pytest.approx(1e-3, rel=0.01)


def test_means_weigh_every_image_the_same():
    sums = MetricSums()
    sums.add({"loss": torch.tensor(1.0)}, 30)
    sums.add({"loss": torch.tensor(4.0)}, 10)
    assert sums.means("val/") == {"val/loss": pytest.approx(1.75)}


def test_the_validation_s_noise_is_that_of_its_seed_every_time():
    x, expected = torch.from_numpy(IMAGES[:9]) / 255, []
    model = vae(seed=5)

    def measure(row: dict[str, float]) -> None:
        generator = torch.Generator().manual_seed(5 + 3)
        noise = torch.cat([torch.randn(count, 2, generator=generator) for count in (4, 4, 1)])
        with torch.no_grad():
            mu, logvar = model.encoder(x).chunk(2, 1)
            logits = model.decoder(mu + noise * (logvar / 2).exp())
        expected.append(-Bernoulli(logits=logits).log_prob(x).sum().item() / 9)

    _, progress = train(Train(steps=15, batch_size=16, seed=5), model, on_validation=measure)
    assert [row["val/recon"] for row in progress.history] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_is_noticed_within_a_hundred_steps():
    class Breaks(VAE):
        """A VAE whose loss is NaN from its second step on."""

        steps = 0

        def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
            self.steps += self.training
            losses = super().loss(x, noise, weights)
            return {**losses, "loss": losses["loss"] * (torch.nan if self.steps > 1 else 1)}

    model = Breaks(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
    batches = Batches(np.repeat(IMAGES, 4, axis=0), 1, CPU)  # 280 steps an epoch
    with pytest.raises(UserError, match=r"at step 2\."):
        fit(model, batches, batches, Train(steps=5000, batch_size=1))
    assert model.steps == 101


def test_validation_does_not_depend_on_the_batch_size():
    def val_mse(batch: int) -> float:
        model = vae()
        progress = fit(model, Batches(IMAGES, 16, CPU), Batches(IMAGES[:9], batch, CPU), Train(steps=5))
        return progress.history[-1]["val/mse"]

    assert val_mse(9) == pytest.approx(val_mse(4), rel=1e-5)


@pytest.mark.skipif(not which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compile_gives_the_same_training():
    plain, _ = train(Train(steps=5, batch_size=16))
    compiled, _ = train(Train(steps=5, batch_size=16, compile=True))
    torch.testing.assert_close(flat(plain), flat(compiled), atol=1e-4, rtol=1e-3)


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
