import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoders.errors import UserError
from autoencoders.models import build
from autoencoders.models.blocks import initialise
from autoencoders.params import KINDS, Autoencoder, Pca


@settings(max_examples=30)
@given(
    st.sampled_from(sorted(KINDS)), st.integers(1, 3), st.integers(4, 9), st.integers(4, 9), st.integers(1, 4),
    st.sampled_from(["mlp", "conv"]), st.integers(1, 5),
)  # fmt: skip
def test_a_model_fits_any_images_and_its_output_is_the_decoded_code(kind, channels, height, width, latent, arch, count):
    options = {"arch": arch, "hidden": [5, 3], "decoder_hidden": [6, 5]} if KINDS[kind].params.trained_in_steps else {}
    entry = KINDS[kind].params(latent=latent, **options)
    model = build(entry, (channels, height, width), torch.Generator().manual_seed(0))
    x = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))
    z = model.encode(x)
    assert z.shape == (count, latent)
    assert torch.equal(model(x), model.decode(z))
    assert model(x).shape == x.shape
    mu, logvar = model.posterior(x)
    assert torch.equal(mu, z)
    assert (logvar is not None) == KINDS[kind].has_posterior
    if entry.trained_in_steps:
        drawn = model.decode(100 * torch.randn(2, latent, generator=torch.Generator().manual_seed(2)))
        assert (drawn.min() >= 0, drawn.max() <= 1) == (True, True)


def test_weights_come_from_the_generator_alone():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(torch.randint(100, ()).item())  # the global generator must not matter
        model = build(Autoencoder(latent=3, hidden=[9, 8]), (1, 28, 28), torch.Generator().manual_seed(seed))
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_initial_weights_have_torch_s_default_distribution():
    layer, reference = torch.nn.ConvTranspose2d(8, 16, 4), torch.nn.ConvTranspose2d(8, 16, 4)
    initialise(layer, torch.Generator().manual_seed(0))
    bound = 1 / (16 * 4 * 4) ** 0.5  # torch counts a transposed convolution's fan-in over its outputs
    for weights in (layer.weight, layer.bias, reference.weight, reference.bias):
        assert weights.abs().max().item() <= bound
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert reference.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_a_code_larger_than_the_image_is_refused():
    with pytest.raises(UserError, match=r"latent: 37 .*36 values.*at most 36"):
        build(Pca(latent=37), (1, 6, 6))


def test_too_many_halvings_are_refused():
    with pytest.raises(UserError, match=r"7×5 pixels cannot be halved 3 times.*at most 2"):
        build(Autoencoder(latent=3, arch="conv", hidden=[4, 4, 4]), (3, 7, 5))


@pytest.mark.parametrize(
    ("shape", "hidden", "message"),
    [
        ((1, 1, 40), [4], r"1×40 pixels cannot be halved once: use `arch: mlp`\.$"),
        ((1, 3, 40), [4, 4], r"3×40 pixels cannot be halved 2 times: give `hidden` at most 1 entry, or use `arch"),
    ],
)
def test_an_image_too_thin_to_halve_is_refused_with_what_fits(shape, hidden, message):
    with pytest.raises(UserError, match=message):
        build(Autoencoder(latent=3, arch="conv", hidden=hidden), shape)
