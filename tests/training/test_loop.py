import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from autoencoders.data.batches import Batches
from autoencoders.errors import UserError
from autoencoders.models.vae import VAE
from autoencoders.params import Train, Vae
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.loop import MetricSums, Progress, fit

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
    settings = settings or Train(epochs=5, batch_size=16, learning_rate=0.01, schedule="cosine", warmup=0.2)
    model = model or vae(settings.seed, arch=arch)
    options |= {"checkpoint": checkpoint, "resume": checkpoint.load() if checkpoint else None}
    return model, fit(
        model, Batches(IMAGES, settings.batch_size, CPU), Batches(IMAGES[:9], 4, CPU), settings, **options
    )


def flat(model: VAE) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_training_lowers_the_loss_and_counts_every_epoch():
    began = time.perf_counter()
    _, progress = train(Train(epochs=5, batch_size=4, learning_rate=0.02))
    assert 0 < sum(row["seconds"] for row in progress.history) <= time.perf_counter() - began
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4, 5]
    assert progress.history[-1]["val/loss"] < progress.history[0]["val/loss"] - 1
    last = progress.history[-1]
    assert last["val/elbo"] == pytest.approx(-last["val/recon"] - last["val/kl"])


def test_equal_seeds_give_equal_weights_and_others_do_not():
    torch.manual_seed(torch.randint(100, ()).item())
    assert torch.equal(flat(train()[0]), flat(train()[0]))
    assert not torch.equal(flat(train()[0]), flat(train(Train(epochs=5, batch_size=16, seed=1))[0]))


@pytest.mark.parametrize(("killed_in", "arch"), [(1, "mlp"), (2, "mlp"), (4, "mlp"), (5, "mlp"), (3, "conv")])
def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(where, killed_in, arch):
    whole, history = train(arch=arch)
    steps = iter(range(1000))

    def kill() -> None:
        if next(steps) == 5 * (killed_in - 1) + 2:  # in the third of an epoch's five steps
            raise Killed

    checkpoint = Checkpoint(where, "same")
    resumed_epochs: list[float] = []
    with checkpoint.acquire():
        with pytest.raises(Killed):
            train(arch=arch, checkpoint=checkpoint, on_batch=kill)
        resumed, after = train(
            arch=arch, checkpoint=checkpoint, on_epoch=lambda row: resumed_epochs.append(row["epoch"])
        )
    assert resumed_epochs == list(range(killed_in, 6))
    assert torch.equal(flat(whole), flat(resumed))
    assert [row["val/loss"] for row in after.history] == [row["val/loss"] for row in history.history]


def test_a_training_whose_store_goes_away_ends_with_the_same_weights(flaky):
    whole, _ = train()
    checkpoint = Checkpoint("flaky://bucket/vae", "same")
    said: list[str] = []
    checkpoint.warn = said.append
    state = {2: {"pipe_file"}, 4: {"rm_file"}}

    def outage(row: dict[str, float]) -> None:
        flaky.update(state.get(int(row["epoch"]), set()))

    trained, _ = train(checkpoint=checkpoint, on_epoch=outage)
    checkpoint.finish(Path())
    assert torch.equal(flat(whole), flat(trained))
    assert len(said) == 2
    assert said[0].startswith("warning: no checkpoint: flaky://bucket/vae: ")
    assert said[1].startswith("warning: the checkpoint is left, though no longer needed: ")
    flaky.clear()
    loaded = checkpoint.load()
    assert loaded["progress"]["epoch"] == 2


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_training_equals_plain_steps_of_torch_s_adam(likelihood):
    """Whatever makes the loop faster: its loss and its steps are those of the formulas, in torch's own order."""

    trained, plain = vae(arch="conv", likelihood=likelihood), vae(arch="conv", likelihood=likelihood)
    _, progress = train(Train(epochs=1, batch_size=70, learning_rate=0.01), trained)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    x, noise = (torch.from_numpy(IMAGES)[order] / 255), torch.randn(70, 2, generator=torch.Generator().manual_seed(2))
    mu, logvar = plain.encoder(x).chunk(2, 1)
    logits = plain.decoder(mu + noise * (logvar / 2).exp())
    likely = Bernoulli(logits=logits) if likelihood == "bernoulli" else Normal(logits.sigmoid(), plain.log_sigma.exp())
    loss = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum() - likely.log_prob(x).sum()
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    (loss / 70).backward()
    optimizer.step()
    assert progress.history[0]["train/loss"] == pytest.approx(loss.item() / 70, rel=1e-5)
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
    model = BreaksAt(step=5 + 3, value=value)
    checkpoint = Checkpoint(tmp_path, "same")
    with pytest.raises(UserError, match=r"epoch 2, step 3\..*learning_rate.*grad_clip"):
        train(model=model, checkpoint=checkpoint)
    assert torch.equal(flat(model), model.before)
    saved = checkpoint.load()
    assert saved["progress"]["epoch"] == 1
    assert all(value.isfinite().all() for value in saved["model"].values())


class Explodes(VAE):
    """A VAE that the last step of an epoch breaks: no loss of the training tells, only the validation's."""

    def __init__(self, epoch: int) -> None:
        super().__init__(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
        self.epoch, self.validations = epoch, 0

    def eval(self) -> "Explodes":
        self.validations += 1
        if self.validations == self.epoch:
            with torch.no_grad():
                next(self.parameters()).fill_(torch.nan)
        return super().eval()


def test_a_validation_loss_that_is_not_finite_stops_before_the_checkpoint_and_resumes_from_the_last(tmp_path):
    checkpoint = Checkpoint(tmp_path, "same")
    epochs: list[float] = []
    with pytest.raises(UserError, match=r"validation loss became NaN or infinite at epoch 3\..*learning_rate"):
        train(model=Explodes(3), checkpoint=checkpoint, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert epochs == [1, 2]
    saved = checkpoint.load()
    assert saved["progress"]["epoch"] == 2
    assert all(value.isfinite().all() for value in saved["model"].values())
    resumed, _ = train(checkpoint=checkpoint, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert epochs == [1, 2, 3, 4, 5]
    assert torch.equal(flat(resumed), flat(train()[0]))


def test_a_gradient_that_is_not_finite_stops_before_the_step_where_gradients_are_clipped():
    model = vae()
    weight = next(model.parameters())
    weight.register_hook(lambda gradient: gradient * torch.inf)
    before = flat(model)
    with pytest.raises(UserError, match=r"the loss or its gradient became NaN or infinite at epoch 1, step 1\."):
        train(Train(epochs=1, batch_size=16, grad_clip=1.0), model)
    assert torch.equal(flat(model), before)


def test_the_weights_are_those_of_the_best_epoch():
    kept: dict[int, torch.Tensor] = {}
    settings = Train(epochs=5, batch_size=16, learning_rate=0.3)
    model = vae()
    _, progress = train(settings, model, on_epoch=lambda row: kept.update({int(row["epoch"]): flat(model)}))
    losses = [row["val/loss"] for row in progress.history]
    assert progress.best_epoch == 1 + int(np.argmin(losses)) != 5
    assert torch.equal(flat(model), kept[progress.best_epoch])


def test_of_equal_epochs_the_first_is_kept():
    class Flat(VAE):
        """A VAE that every epoch's validation finds as good as before."""

        def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
            losses = super().loss(x, noise, weights)
            return losses if self.training else {**losses, "loss": torch.ones(())}

    kept: dict[int, torch.Tensor] = {}
    model = Flat(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
    _, progress = train(model=model, on_epoch=lambda row: kept.update({int(row["epoch"]): flat(model)}))
    assert (progress.best, progress.best_epoch, progress.epoch) == (1, 1, 5)
    assert torch.equal(flat(model), kept[1])


def test_early_stopping_waits_for_patience_epochs():
    settings = Train(epochs=50, batch_size=16, learning_rate=0.3, patience=3)
    _, progress = train(settings)
    assert progress.epoch == progress.best_epoch + 3 < 50


def test_kl_warmup_raises_the_weight_linearly_and_validates_with_the_full_one():
    betas: list[float] = []

    class Watched(VAE):
        def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
            betas.append(weights["beta"] if self.training else -weights["beta"])
            return super().loss(x, noise, weights)

    entry = Vae(latent=2, hidden=[8], beta=2.0, kl_warmup=3)
    train(model=Watched(entry, (1, 6, 6), torch.Generator().manual_seed(0)))
    assert [b for i, b in enumerate(b for b in betas if b > 0) if i % 5 == 0] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert {b for b in betas if b < 0} == {-2.0}


def test_gradient_clipping_bounds_the_step():
    start = flat(vae())
    clipped, _ = train(Train(epochs=1, batch_size=70, learning_rate=1e-3, grad_clip=1e-12))
    free, _ = train(Train(epochs=1, batch_size=70, learning_rate=1e-3))
    # Adam divides by √v + 1e-8: gradients far below 1e-8 hardly move a weight, any other moves it by the learning rate
    assert (flat(clipped) - start).abs().max() < 1e-6
    assert (flat(free) - start).abs().max() == pytest.approx(1e-3, rel=0.01)


def test_means_weigh_every_image_the_same():
    sums = MetricSums()
    sums.add({"loss": torch.tensor(1.0)}, 30)
    sums.add({"loss": torch.tensor(4.0)}, 10)
    assert sums.means("val/") == {"val/loss": pytest.approx(1.75)}


def test_the_validation_s_noise_is_that_of_its_seed_in_every_epoch():
    x, expected = torch.from_numpy(IMAGES[:9]) / 255, []
    model = vae(seed=5)

    def measure(row: dict[str, float]) -> None:
        generator = torch.Generator().manual_seed(5 + 3)
        noise = torch.cat([torch.randn(count, 2, generator=generator) for count in (4, 4, 1)])
        with torch.no_grad():
            mu, logvar = model.encoder(x).chunk(2, 1)
            logits = model.decoder(mu + noise * (logvar / 2).exp())
        expected.append(-Bernoulli(logits=logits).log_prob(x).sum().item() / 9)

    _, progress = train(Train(epochs=3, batch_size=16, seed=5), model, on_epoch=measure)
    assert [row["val/recon"] for row in progress.history] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_is_noticed_within_a_hundred_steps():
    class Breaks(VAE):
        """A VAE whose loss is NaN from its second step on."""

        steps = 0

        def loss(self, x: torch.Tensor, noise: torch.Tensor | None, weights: Any = None) -> dict[str, torch.Tensor]:
            self.steps += 1
            losses = super().loss(x, noise, weights)
            return {**losses, "loss": losses["loss"] * (torch.nan if self.steps > 1 else 1)}

    model = Breaks(ENTRY, (1, 6, 6), torch.Generator().manual_seed(0))
    batches = Batches(np.repeat(IMAGES, 4, axis=0), 1, CPU)  # 280 steps
    with pytest.raises(UserError, match=r"epoch 1, step 2\."):
        fit(model, batches, batches, Train(epochs=1, batch_size=1))
    assert model.steps == 101


def test_validation_does_not_depend_on_the_batch_size():
    def val_mse(batch: int) -> float:
        model = vae()
        progress = fit(model, Batches(IMAGES, 16, CPU), Batches(IMAGES[:9], batch, CPU), Train(epochs=1))
        return progress.history[0]["val/mse"]

    assert val_mse(9) == pytest.approx(val_mse(4), rel=1e-5)


@pytest.mark.skipif(not which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compile_gives_the_same_training():
    plain, _ = train(Train(epochs=1, batch_size=16))
    compiled, _ = train(Train(epochs=1, batch_size=16, compile=True))
    torch.testing.assert_close(flat(plain), flat(compiled), atol=1e-4, rtol=1e-3)


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
