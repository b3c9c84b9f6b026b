"""What is made of images before a training begins, and what `model.json` says once it has ended."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoders.data.principal_components import PrincipalComponents, principal_components
from autoencoders.models import PCA, VAE, Autoencoder, build, network
from autoencoders.params import KINDS, Pca, Train, Vae
from autoencoders.params import Autoencoder as AutoencoderParams
from autoencoders.training import fitting
from autoencoders.training.fitting import fit_in_closed_form, fit_in_steps

SHAPE = (1, 5, 4)


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def test_the_error_of_a_model_in_closed_form_is_the_mean_over_all_validation_pixels(monkeypatch):
    monkeypatch.setattr(fitting, "EVAL_BATCH", 4)  # 4, 4 and 3 of the 11 images
    train, validation = images(40, 0), images(11, 1)
    result = fit_in_closed_form(PCA(Pca(latent=3), SHAPE), principal_components(train, 3), validation)
    pixels, x = train.reshape(40, -1) / 255, validation.reshape(11, -1) / 255
    axes = np.linalg.svd(pixels - pixels.mean(0))[2][:3]
    recon = pixels.mean(0) + (x - pixels.mean(0)) @ axes.T @ axes
    assert result == {"validation": {"val/mse": pytest.approx(np.mean((recon - x) ** 2), rel=1e-4)}}


def test_a_network_begins_at_the_mean_image_and_its_best_step_is_described():
    class Watched(VAE):
        def initialise(self, components: PrincipalComponents) -> None:
            super().initialise(components)
            self.mean = self.decoder[2].bias.detach().sigmoid().view(SHAPE)

    model = Watched(Vae(latent=2, hidden=[8]), SHAPE, torch.Generator().manual_seed(0))
    train, validation = images(30, 0) // 4, images(10, 1) // 4
    train[::2] += 160  # dark or bright: something that can be learned
    validation[::2] += 160
    training = Train(steps=12, batch_size=10, learning_rate=0.5, precision="fp32")
    components, device = principal_components(train, 2), torch.device("cpu")
    history, result = fit_in_steps(model, components, train, validation, training, device)
    torch.testing.assert_close(model.mean, torch.from_numpy(train / 255).mean(0).float(), atol=1e-4, rtol=0)
    best = min(history, key=lambda row: row["val/loss"])
    assert 0 < best["step"] < 12
    assert result == {
        "precision": "fp32",
        "best_step": best["step"],
        "validation": {name: best[name] for name in ("val/loss", "val/recon", "val/kl", "val/mse", "val/elbo")},
    }


@settings(max_examples=25, deadline=None)
@given(
    arch=st.sampled_from(["mlp", "conv"]), latent=st.integers(1, 8), count=st.integers(2, 30),
    learning_rate=st.sampled_from([1e-3, 0.1, 1.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_on_the_validation_split_an_autoencoder_is_never_worse_than_pca(arch, latent, count, learning_rate, seed):
    """Whatever training does to it: the start is validated, too."""
    train, validation = images(count, seed), images(9, seed + 100)
    components = principal_components(train, latent)
    entry = AutoencoderParams(latent=latent, arch=arch, hidden=[4])
    model = Autoencoder(entry, SHAPE, torch.Generator().manual_seed(0))
    pca = fit_in_closed_form(PCA(Pca(latent=latent), SHAPE), components, validation)["validation"]["val/mse"]
    training = Train(steps=6, batch_size=8, learning_rate=learning_rate, precision="fp32", grad_clip=1.0)
    _, result = fit_in_steps(model, components, train, validation, training, torch.device("cpu"))
    assert result["validation"]["val/mse"] <= pca * (1 + 1e-5)


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
def test_scores_are_computed_once_and_the_images_validate(kind, monkeypatch):
    monkeypatch.setattr(network, "MAX_PIXEL_VALUES", 16)
    monkeypatch.setattr(network, "N_SCORES", 10)
    monkeypatch.setattr(fitting, "EVAL_BATCH", 70)  # 70, 70, 70, 70 and 20 of the 300 images
    train, validation = waves(300, 0), waves(100, 1)
    fields = {"likelihood": "gaussian"} if kind == "vae" else {}
    entry = KINDS[kind].params(latent=1, hidden=[16], **fields)
    model = build(entry, SHAPE, torch.Generator().manual_seed(0))
    components, device = principal_components(train, 10), torch.device("cpu")
    seen = []
    monkeypatch.setattr(type(model.inputs), "forward", watched(type(model.inputs).forward, seen))
    training = Train(steps=200, batch_size=10, learning_rate=0.01, precision="fp32")
    history, result = fit_in_steps(model, components, train, validation, training, device)
    assert seen[:5] == [(70, 1, 5, 4)] * 4 + [(20, 1, 5, 4)]
    assert sum(shape == (10, 10) for shape in seen) == 200  # steps, of scores
    assert set(seen[5:]) == {(10, 10), (70, 1, 5, 4), (30, 1, 5, 4)}  # and the 100 images of a validation
    x = torch.from_numpy(validation).float() / 255
    with torch.no_grad():
        assert result["validation"]["val/mse"] == pytest.approx((model(x) - x).square().mean().item(), rel=1e-4)
    assert result["best_step"] > 0
    assert result["validation"]["val/mse"] < 0.9 * history[0]["val/mse"]
    assert history[-1]["train/loss"] < history[1]["train/loss"]


def waves(count: int, seed: int) -> np.ndarray:
    """Images of a sine of any phase: PCA needs two numbers for them, a network one."""
    phases = np.random.default_rng(seed).uniform(-2, 2, (count, 1))
    return (128 + 100 * np.sin(phases + 0.3 * np.arange(20))).astype(np.uint8).reshape(count, *SHAPE)


def watched(forward: Callable[..., torch.Tensor], seen: list[tuple[int, ...]]) -> Callable[..., torch.Tensor]:
    def watching(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape))
        return forward(module, x)

    return watching
