"""What a network is before its first step: PCA, or probabilistic PCA."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoencoders.data.principal_components import PrincipalComponents, principal_components
from autoencoders.errors import UserError
from autoencoders.models import PCA, VAE, Autoencoder, build, network
from autoencoders.models.blocks import clamp_pixels
from autoencoders.params import KINDS, Pca, Vae
from autoencoders.params import Autoencoder as AutoencoderEntry

SHAPE = (1, 6, 5)


def images(count: int, seed: int, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    """Images of three patterns and some noise, so that there is something to find."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, 3)) @ np.random.default_rng(7).normal(size=(3, 30)) + random.normal(
        scale=0.3, size=(count, 30)
    )
    spread = (mixed + 4) / 8 * (high - low) + low
    return spread.clip(low, high - 1).astype(np.uint8).reshape(count, *SHAPE)


def tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).float() / 255


def mse(model: torch.nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        return (model(x) - x).square().mean().item()


@pytest.fixture
def few_pixels(monkeypatch):
    """Images of more than 20 values are large: an mlp works on 8 scores of each."""
    monkeypatch.setattr(network, "MAX_PIXEL_VALUES", 20)
    monkeypatch.setattr(network, "N_SCORES", 8)


@settings(max_examples=60)
@given(
    arch=st.sampled_from(["mlp", "conv"]), latent=st.integers(1, 30), count=st.integers(1, 40),
    channels=st.sampled_from([1, 3]), seed=st.integers(0, 1000), alike=st.booleans(),
)  # fmt: skip
def test_an_autoencoder_of_squared_error_is_never_worse_than_pca_at_the_start(
    arch, latent, count, channels, seed, alike
):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, channels, 6, 5), dtype=np.uint8)
    train = np.repeat(pixels[:1], count, axis=0) if alike else pixels
    components, shape = principal_components(train, latent), (channels, 6, 5)
    model = build(AutoencoderEntry(latent=latent, arch=arch, hidden=[4]), shape, torch.Generator().manual_seed(0))
    pca = PCA(Pca(latent=latent), shape)
    for fitted in (model, pca):
        fitted.initialise(components)
    for x in (tensor(train), tensor(random.integers(0, 256, (7, *shape), dtype=np.uint8))):
        assert mse(model, x) <= mse(pca, x) * (1 + 1e-5) + 1e-9


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    latent=st.integers(1, 12), count=st.integers(1, 40), channels=st.sampled_from([1, 3]), seed=st.integers(0, 1000),
    alike=st.booleans(),
)  # fmt: skip
def test_on_scores_it_is_not_either(few_pixels, latent, count, channels, seed, alike):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, channels, 6, 5), dtype=np.uint8)
    train = np.repeat(pixels[:1], count, axis=0) if alike else pixels
    shape = (channels, 6, 5)
    model = build(AutoencoderEntry(latent=latent, hidden=[4]), shape, torch.Generator().manual_seed(0))
    assert model.n_components == max(8, latent)
    pca = PCA(Pca(latent=latent), shape)
    model.initialise(principal_components(train, model.n_components))
    pca.initialise(principal_components(train, latent))
    for x in (tensor(train), tensor(random.integers(0, 256, (7, *shape), dtype=np.uint8))):
        assert mse(model, x) <= mse(pca, x) * (1 + 1e-5) + 1e-9


def test_the_loss_of_scores_is_that_of_their_images_without_the_clamp(few_pixels):
    """On average over the training images: what the scores leave out is known of all of them together."""
    train = images(300, 0, 80, 180)  # grey, so that no pixel is clamped
    model = Autoencoder(AutoencoderEntry(latent=3, hidden=[9, 9]), SHAPE, torch.Generator().manual_seed(0))
    model.initialise(principal_components(train, 8))
    with torch.no_grad():
        for weight in model.decayed():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        x = tensor(train)
        scores = model.inputs(x)
        assert scores.shape == (300, 8)
        assert scores.square().mean().item() == pytest.approx(1, abs=0.05)
        torch.testing.assert_close(model.encode(scores), model.encode(x))
        assert model.loss(scores)["loss"].item() == pytest.approx(model.loss(x)["loss"].item(), rel=1e-4)
        assert model.loss(x)["loss"].item() == pytest.approx(30 * mse(model, x), rel=1e-5)


def test_the_logistic_likelihood_trains_on_pixels_through_the_scores(few_pixels):
    train = images(300, 0, 80, 180)
    model = VAE(Vae(latent=3, hidden=[4], likelihood="logistic"), SHAPE, torch.Generator().manual_seed(0))
    model.initialise(principal_components(train, 8))
    assert model.inputs is None
    z = torch.zeros(1, 3)
    torch.testing.assert_close(model.decode(z)[0], tensor(train).mean(0), atol=1e-5, rtol=0)


def test_the_networks_that_add_to_the_linear_parts_decay_and_nothing_else():
    model = Autoencoder(AutoencoderEntry(latent=3, hidden=[4]), SHAPE, torch.Generator().manual_seed(0))
    decayed = {id(weight) for weight in model.decayed()}
    names = [name for name, weight in model.named_parameters() if id(weight) in decayed]
    assert names == [
        f"{part}.{index}.network.{layer}.{kind}"
        for part, index, layers in (("encoder", 1, (1, 3)), ("decoder", 0, (0, 2)))
        for layer in layers
        for kind in ("weight", "bias")
    ]
    assert VAE(Vae(latent=3, hidden=[4]), SHAPE).decayed() == []


def test_an_mlp_on_very_many_pixels_is_refused_with_what_to_do():
    expected = (
        r"`arch: mlp` with Bernoulli pixels is too large for images of 128×128 pixels, 49,152 values \(at most "
        r"32,768\)\. Choose `likelihood: gaussian` or `loss: mse`, which work on principal components, `arch: conv`, "
        r"or a smaller data\.image_size\."
    )
    for entry in (Vae(latent=3), AutoencoderEntry(latent=3, loss="bce")):
        with torch.device("meta"), pytest.raises(UserError, match=expected):
            build(entry, (3, 128, 128))
    with torch.device("meta"):
        assert build(Vae(latent=3, likelihood="gaussian"), (3, 128, 128)).n_components == 256


def test_codes_of_the_training_images_begin_with_mean_0_and_variance_1():
    train = images(200, 0)
    model = Autoencoder(AutoencoderEntry(latent=3, hidden=[4]), SHAPE, torch.Generator().manual_seed(0))
    model.initialise(principal_components(train, 3))
    codes = model.encode(tensor(train)).detach().numpy()
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(codes.T, bias=True), np.eye(3), atol=1e-4)


def negative_log_likelihood(components: PrincipalComponents, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """−log p(x) of probabilistic PCA: N(mean, W Wᵀ + σ² I) (Tipping & Bishop 1999, eq. 4), in nats."""
    latent, size = components.directions.shape
    noise = components.rest / (size - latent)
    directions = components.directions.astype(np.float64)
    covariance = directions.T * (components.variances - noise) @ directions + noise * np.eye(size)
    centred = pixels.reshape(len(pixels), -1) / 255 - components.mean
    distance = (centred * np.linalg.solve(covariance, centred.T).T).sum(1)
    return 0.5 * (size * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + distance)


@pytest.mark.parametrize("arch", ["mlp", "conv", "scores"])
def test_a_gaussian_vae_begins_at_probabilistic_pca(arch, request):
    """Its posterior is then the exact one, so −ELBO is −log p(x); grey images, so that no pixel is clamped."""
    if arch == "scores":
        request.getfixturevalue("few_pixels")
        arch = "mlp"
    train, test = images(400, 0, 80, 180), images(4000, 1, 80, 180)
    components, x = principal_components(train, 3), tensor(test)
    entry = Vae(latent=3, arch=arch, hidden=[4], likelihood="gaussian")
    model = VAE(entry, SHAPE, torch.Generator().manual_seed(0))
    model.initialise(principal_components(train, model.n_components))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        samples = [model.loss(x, model.sample_noise(len(x), noise))["loss"].item() for _ in range(20)]
    expected = negative_log_likelihood(components, test).mean()
    assert np.mean(samples) == pytest.approx(expected, abs=0.02)
    assert model.log_sigma.exp().item() == pytest.approx((components.rest / 27) ** 0.5, rel=1e-5)
    mu, logvar = model.posterior(tensor(train))
    assert (mu.square() + logvar.exp()).mean(0).detach().numpy() == pytest.approx([1, 1, 1], abs=1e-3)


def test_a_logistic_vae_begins_where_a_gaussian_one_does_with_a_scale_of_the_same_variance():
    train = images(400, 0, 80, 180)
    components, models = principal_components(train, 3), {}
    for likelihood in ("gaussian", "logistic"):
        entry = Vae(latent=3, hidden=[4], likelihood=likelihood)
        models[likelihood] = VAE(entry, SHAPE, torch.Generator().manual_seed(0))
        models[likelihood].initialise(components)
    gaussian, logistic = (model.state_dict() for model in models.values())
    log_sigma, log_scale = gaussian.pop("log_sigma"), logistic.pop("log_scale")
    assert gaussian.keys() == logistic.keys()
    assert all(torch.equal(gaussian[name], logistic[name]) for name in gaussian)
    assert log_scale.exp().item() ** 2 * np.pi**2 / 3 == pytest.approx(log_sigma.exp().item() ** 2)  # their variances
    assert log_sigma.exp().item() == pytest.approx((components.rest / 27) ** 0.5, rel=1e-5)


def test_directions_of_less_variance_than_the_noise_are_not_used():
    """Of two patterns, three of the five latent dimensions have nothing to say: their posterior is the prior."""
    random = np.random.default_rng(0)
    train = (128 + 30 * random.normal(size=(50, 2)) @ random.normal(size=(2, 30))).clip(0, 255).astype(np.uint8)
    train = np.tile(train.reshape(50, *SHAPE), (3, 1, 1, 1))
    components = principal_components(train, 5)
    flat = PrincipalComponents(components.mean, components.directions, components.variances, rest=25 * 0.01)
    model = VAE(Vae(latent=5, hidden=[4], likelihood="gaussian"), SHAPE, torch.Generator().manual_seed(0))
    model.initialise(flat)
    mu, logvar = (values.detach() for values in model.posterior(tensor(train)))
    assert (components.variances < 0.01).tolist() == [False, False, True, True, True]
    assert not mu[:, 2:].any()
    assert not logvar[:, 2:].any()
    assert (logvar[:, :2] < -1).all()


@pytest.mark.parametrize("likelihood", [None, "gaussian", "logistic"])
@pytest.mark.parametrize("alike", ["one image", "one grey level"])
def test_images_that_do_not_differ_are_drawn_exactly_and_have_finite_losses(likelihood, alike):
    train = images(1, 0) if alike == "one image" else np.full((9, *SHAPE), 40, np.uint8)
    kind, options = ("vae", {"likelihood": likelihood}) if likelihood else ("autoencoder", {})
    entry = KINDS[kind].params(latent=4, hidden=[4], **options)
    model, x = build(entry, SHAPE, torch.Generator().manual_seed(0)), tensor(train)
    model.initialise(principal_components(train, 4))
    assert mse(model, x) == pytest.approx(0, abs=1e-12)
    losses = model.loss(x, model.sample_noise(len(x), torch.Generator().manual_seed(0)))
    losses["loss"].backward()
    assert torch.stack(list(losses.values())).isfinite().all()
    assert all(value.grad is None or value.grad.isfinite().all() for value in model.parameters())


def test_a_bernoulli_model_has_no_linear_part_and_begins_at_the_mean_image():
    train = images(100, 0)
    model = VAE(Vae(latent=3, hidden=[4]), SHAPE, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.initialise(principal_components(train, 3))
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["decoder.2.bias"]
    mean = torch.from_numpy(train / 255).mean(0).float()
    torch.testing.assert_close(model.decoder[2].bias.sigmoid().view(SHAPE), mean, atol=1e-4, rtol=0)


def test_gradients_pass_the_clamp():
    x = torch.tensor([-0.5, 0.25, 1.5], requires_grad=True)
    target = torch.tensor([0.0, 0.5, 0.0])
    clamped = clamp_pixels(x)
    assert clamped.tolist() == [0, 0.25, 1]
    (clamped - target).square().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, -0.5, 2]  # beyond the right end: none; beyond the wrong one: back


@pytest.mark.parametrize(
    "entry",
    [
        AutoencoderEntry(latent=3, hidden=[4]),
        AutoencoderEntry(latent=3, hidden=[4], loss="bce"),
        Vae(latent=3, hidden=[4], beta=2.5),
        Vae(latent=3, hidden=[4], likelihood="gaussian"),
    ],
    ids=lambda entry: f"{entry.kind}-{getattr(entry, 'loss', None) or entry.likelihood}",
)
def test_a_validation_is_the_loss_and_the_error_of_the_reconstructions(entry):
    model = build(entry, SHAPE, torch.Generator().manual_seed(0))
    model.initialise(principal_components(images(50, 0), 3))
    x = tensor(images(20, 1))
    noise = model.sample_noise(20, torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, loss = model.validation_losses(x, noise), model.loss(x, noise, model.loss_weights())
    assert found.pop("mse").item() == pytest.approx(mse(model, x), rel=1e-5)
    assert found == loss
