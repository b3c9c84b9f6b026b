import numpy as np
import pytest
import torch

from autoencoders.data.batches import Batches
from autoencoders.ladder.beta.measure import BetaResult, measure_vae, train_vae
from autoencoders.models.gaussian import kl_to_standard_normal
from autoencoders.models.vae import VAE
from autoencoders.params import Train
from autoencoders.params.ladder import BetaRung

CPU = torch.device("cpu")
NETWORK = BetaRung(latent=4, hidden=[16], decoder_hidden=[16])


def squares() -> np.ndarray:
    """240 images (N, 1, 8, 8) of a square at any of 36 places."""
    places = np.random.default_rng(0).integers(0, 6, (240, 2))
    images = np.zeros((240, 1, 8, 8), dtype=np.uint8)
    for image, (top, left) in zip(images, places, strict=True):
        image[0, top : top + 3, left : left + 3] = 230
    return images


def trained(beta: float, steps: int = 240) -> VAE:
    images = squares()
    settings = Train(seed=3, steps=steps, batch_size=40, learning_rate=0.01, schedule="cosine", precision="fp32")
    batches = Batches(images, 40, CPU), Batches(images[:40], 40, CPU)
    return train_vae(*batches, images.mean(0) / 255, (1, 8, 8), beta, NETWORK, settings)


@pytest.fixture(scope="module")
def sweep() -> list[BetaResult]:
    return [measure_vae(trained(beta), Batches(squares(), 100, CPU), 0) for beta in (0.1, 1, 100)]


def test_kl_falls_and_reconstruction_suffers_with_beta(sweep):
    kl = [result.kl.sum() for result in sweep]
    assert kl[0] > 1.2 * kl[1] > 1.2 * kl[2]
    assert sweep[0].recon < sweep[1].recon < sweep[2].recon
    assert sweep[0].mse < sweep[1].mse < sweep[2].mse


def test_a_large_beta_makes_every_dimension_collapse(sweep):
    assert sweep[0].active_units >= 2
    assert sweep[2].active_units == 0
    assert sweep[2].kl.max() < 0.01
    images = squares() / 255
    assert sweep[2].mse == pytest.approx(np.square(images - images.mean(axis=0)).mean(), rel=0.05)


def test_all_networks_start_alike():
    untrained = [train_vae(
        Batches(squares(), 240, CPU), Batches(squares()[:1], 1, CPU),
        squares().mean(0) / 255, (1, 8, 8), beta, NETWORK,
        Train(seed=3, steps=1, batch_size=240, learning_rate=1e-12, precision="fp32"),
    ) for beta in (0.1, 10)]  # fmt: skip
    for first, second in zip(*(model.parameters() for model in untrained), strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


def test_measures_do_not_depend_on_the_batch_size_and_match_their_formulas():
    model = trained(1, steps=6)
    whole, parts = (measure_vae(model, Batches(squares(), size, CPU), 0) for size in (240, 100))
    assert whole.recon == pytest.approx(parts.recon, rel=1e-5)
    assert whole.mse == pytest.approx(parts.mse, rel=1e-5)
    np.testing.assert_allclose(whole.kl, parts.kl, rtol=1e-5)
    x = torch.from_numpy(squares()).float() / 255
    with torch.inference_mode():
        expected = kl_to_standard_normal(*model.posterior(x)).mean(0).numpy()
        mse = (model.decode(model.encode(x)) - x).square().mean().item()
    np.testing.assert_allclose(whole.kl, expected, rtol=1e-4, atol=1e-7)
    assert whole.mse == pytest.approx(mse, rel=1e-5)
