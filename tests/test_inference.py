import numpy as np
import pytest
import torch
from processes import run_python

import autoencoders
from autoencoders import params
from autoencoders.data.batches import EVAL_BATCH
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.inference import TrainedModel, load_model
from autoencoders.model_folder import LoadedModel, load_trained
from autoencoders.models import PCA, VAE, build

SHAPE = (1, 8, 8)
KINDS = ("pca", "ae", "vae")


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def untrained(raw: dict, shape: tuple[int, int, int], device: str = "cpu") -> TrainedModel:
    entry = params.KINDS[raw["kind"]].params(**raw)
    network = build(entry, shape, torch.Generator().manual_seed(0)).eval()
    description = {"name": "untrained", "dataset": {"name": "folder"}, "model": entry.model_dump()}
    return TrainedModel(LoadedModel(network.to(device), description), torch.device(device))


@pytest.fixture(params=KINDS)
def model(request, trained) -> TrainedModel:
    return load_model(trained / request.param)


@pytest.fixture
def vae(trained) -> TrainedModel:
    return load_model(str(trained / "vae"))


# The package


def test_importing_the_package_imports_neither_torch_nor_mlflow(tmp_path):
    code = "import sys, autoencoders; print({'torch', 'mlflow', 'numpy'} & set(sys.modules))"
    done = run_python(code, cwd=tmp_path)
    assert done.stdout == "set()\n"


def test_the_package_has_load_model():
    assert autoencoders.load_model is load_model
    assert autoencoders.TrainedModel is TrainedModel
    with pytest.raises(AttributeError, match="has no attribute 'save_model'"):
        _ = autoencoders.save_model


# Codes and images


@pytest.mark.parametrize("as_input", [lambda x: x, lambda x: x.numpy(), lambda x: x.double().numpy()[::-1][::-1]])
def test_encode_and_decode_are_the_networks(trained, model, as_input):
    network, x = load_trained(trained / model.name).model, images(5)
    with torch.no_grad():
        z = network.encode(x)
        redrawn = network.decode(z).clamp(0, 1)
    found = model.encode(as_input(x))
    assert (found.dtype, found.device.type, tuple(found.shape)) == (torch.float32, "cpu", (5, 2))
    torch.testing.assert_close(found, z)
    torch.testing.assert_close(model.decode(as_input(z)), redrawn)
    torch.testing.assert_close(model.reconstruct(as_input(x)), redrawn)


def test_what_goes_in_is_left_as_it_is(vae):
    x = images(3).numpy()
    before = x.copy()
    x.flags.writeable = False
    vae.reconstruct(x)
    vae.anomaly_scores(x)
    np.testing.assert_array_equal(x, before)


def test_more_than_a_block_goes_through(vae):
    x = images(EVAL_BATCH + 3)
    torch.testing.assert_close(vae.encode(x)[-3:], vae.encode(x[-3:]))
    scores, last = vae.anomaly_scores(x), vae.anomaly_scores(x[-3:])
    torch.testing.assert_close(scores.neg_elbo[-3:], last.neg_elbo)


def test_decoded_images_lie_in_0_1_even_pca_s(trained):
    pca = load_model(trained / "pca")
    assert isinstance(pca.network, PCA)
    far = torch.full((1, 2), 50.0)
    assert pca.network.decode(far).max() > 1
    decoded = pca.decode(far)
    assert (decoded.min().item(), decoded.max().item()) == (0, 1)


def test_what_a_model_says_of_itself(vae):
    assert (vae.name, vae.shape, vae.latent, vae.intake.any_size) == ("vae", SHAPE, 2, False)
    assert vae.weights_sha256 == vae.description["weights_sha256"]
    assert untrained({"kind": "pca", "latent": 2}, (3, 5, 6)).intake.any_size


def overflowing(kind: str) -> TrainedModel:
    """A model whose weights are finite, and whose products are not."""
    entry = {"kind": kind, "latent": 2} | ({} if kind == "pca" else {"arch": "mlp", "hidden": [4]})
    model = untrained(entry, SHAPE)
    with torch.no_grad():
        for values in model.network.state_dict().values():
            values.fill_(3e38)
    return model


@pytest.mark.parametrize("kind", ["pca", "autoencoder", "vae"])
def test_what_is_not_finite_is_never_a_result(kind):
    model, message = overflowing(kind), "NaN or infin"
    with pytest.raises(UserError, match=f"untrained gives {message}"):
        model.encode(images(3))
    for use in (model.anomaly_scores, model.anomalies, model.reconstruct):
        with pytest.raises(UserError, match=message):
            use(images(3))
    with pytest.raises(UserError, match=message):
        model.decode(torch.tensor([[-3e38, 3e38]]))


# The same tomorrow, and on another device


def hand_made() -> TrainedModel:
    """An autoencoder whose weights are sines of their place: no random generator could ever change them."""
    model = untrained({"kind": "autoencoder", "latent": 3, "arch": "conv", "hidden": [4, 6], "loss": "bce"}, (1, 9, 7))
    with torch.no_grad():
        for number, parameter in enumerate(model.network.parameters()):
            place = torch.arange(parameter.numel(), dtype=torch.float64) + 17 * number
            parameter.copy_(torch.sin(place).reshape(parameter.shape) / 2)
    return model


CODES = torch.tensor([[0.5, -1.25, 2.0], [3.0, 0.0, -0.5]])
GOLDEN = {
    (0, 0, 0): 0.310498,
    (0, 4, 3): 0.44608,
    (0, 8, 6): 0.399067,
    (1, 0, 0): 0.426491,
    (1, 4, 3): 0.293015,
    (1, 8, 6): 0.398788,
}


def test_a_code_decodes_to_the_image_that_it_decoded_to_when_this_was_written():
    decoded = hand_made().decode(CODES)
    found = {place: decoded[place[0], 0, place[1], place[2]].item() for place in GOLDEN}
    assert found == pytest.approx(GOLDEN, abs=1e-5)


def test_decoding_is_exact_to_single_precision():
    model = hand_made()
    single = model.decode(CODES)
    with torch.no_grad():
        exact = model.network.double().decode(CODES.double())
    assert (single - exact).abs().max() < 1e-6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_decodes_the_same_image(trained, kind):
    cpu, gpu = load_model(trained / kind, "cpu"), load_model(trained / kind, "cuda")
    x = images(50)
    z = cpu.encode(x)
    assert (gpu.encode(x.cuda()) - z).abs().max() < 1e-4
    assert (gpu.decode(z) - cpu.decode(z)).abs().max() < 1e-5
    torch.testing.assert_close(gpu.anomaly_scores(x), cpu.anomaly_scores(x), rtol=1e-4, atol=0)
    if kind == "vae":
        drawn = [model.sample(4, torch.Generator().manual_seed(0)) for model in (cpu, gpu)]
        torch.testing.assert_close(*drawn, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_s_convolutions_are_in_full_precision_and_its_settings_come_back():
    entry = {"kind": "vae", "latent": 16, "arch": "conv", "hidden": [64, 128]}
    cpu, gpu = untrained(entry, (3, 64, 64)), untrained(entry, (3, 64, 64), "cuda")
    before = torch.backends.cudnn.allow_tf32
    x = images(8, shape=(3, 64, 64))
    assert (gpu.reconstruct(x) - cpu.reconstruct(x)).abs().max() < 1e-5
    assert torch.backends.cudnn.allow_tf32 == before


# Sampling, lines, neighbours


def test_samples_are_decoded_from_the_prior_and_follow_the_generator(vae):
    found = vae.sample(6, torch.Generator().manual_seed(4))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(found, vae.decode(z), rtol=0, atol=0)
    assert not torch.equal(found, vae.sample(6, torch.Generator().manual_seed(5)))


@pytest.mark.parametrize("kind", ["pca", "ae"])
def test_only_a_vae_samples(trained, kind):
    with pytest.raises(UserError, match=rf"^{kind} cannot sample. Only a VAE holds its codes to N\(0, I\)"):
        load_model(trained / kind).sample(4, torch.Generator())


def test_a_line_goes_from_one_reconstruction_to_the_other_through_the_mean_code(model):
    a, b = images(2)
    line = model.interpolate(a, b.numpy(), steps=5)
    assert tuple(line.shape) == (5, *SHAPE)
    torch.testing.assert_close(line[[0, 4]], model.reconstruct(torch.stack([a, b])))
    torch.testing.assert_close(line[2:3], model.decode(model.encode(torch.stack([a, b])).mean(0, keepdim=True)))


def test_neighbours_are_the_nearest_codes_in_order(model):
    x, others = images(4), images(40, seed=1)
    others[7] = x[2]
    codes = model.encode(others)
    found = model.neighbours(x, codes.numpy(), count=3)
    distances = np.linalg.norm(model.encode(x).numpy()[:, None] - codes.numpy()[None], axis=2)
    np.testing.assert_array_equal(found.indices.numpy(), np.argsort(distances, axis=1)[:, :3])
    np.testing.assert_allclose(found.distances.numpy(), np.sort(distances, axis=1)[:, :3], atol=1e-6)
    assert found.indices[2, 0] == 7
    assert found.distances[2, 0] == 0


# Anomalies


def test_a_training_stores_thresholds_and_one_of_twenty_validation_images_lies_above(model, prepared):
    x = torch.from_numpy(PreparedData(prepared).split("val").images / 255)
    scores = model.anomaly_scores(x)
    expected = {"quantile", "mse", "neg_elbo"} if isinstance(model.network, VAE) else {"quantile", "mse"}
    assert set(model.thresholds) == expected
    for name in expected - {"quantile"}:
        values = getattr(scores, name).double().numpy()
        assert model.thresholds[name] == pytest.approx(np.quantile(values, 0.99), rel=1e-5)
    assert model.anomalies(x).sum() == 1
    assert model.anomalies(x)[scores.mse.argmax()]


def test_a_checkerboard_is_an_anomaly_to_a_model_of_bars(model):
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    assert model.anomalies(board.float()[None, None]).tolist() == [True]


# Bad input

EXPECTED = r"vae: expected images \(N, 1, 8, 8\), floats in \[0, 1\], "


@pytest.mark.parametrize("method", ["encode", "reconstruct", "anomaly_scores", "anomalies"])
@pytest.mark.parametrize(
    ("x", "found"),
    [
        (torch.zeros(2, 1, 8, 9), r"found \(2, 1, 8, 9\)\.$"),
        (torch.zeros(2, 3, 8, 8), r"found \(2, 3, 8, 8\)\.$"),
        (torch.zeros(8, 8), r"found \(8, 8\)\.$"),
        (torch.zeros(1, 8, 8), r"found \(1, 8, 8\). A single image goes in as image\[None\]\.$"),
        (torch.zeros(0, 1, 8, 8), r"found \(0, 1, 8, 8\)\.$"),
        (torch.full((1, 1, 8, 8), 1.5), r"found values from 1.5 to 1.5\.$"),
        (torch.full((1, 1, 8, 8), -0.5), r"found values from -0.5 to -0.5\.$"),
        (torch.full((1, 1, 8, 8), torch.nan), r"found values from nan to nan\.$"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), r"found torch.uint8. Divide by 255\.$"),
        (np.zeros((1, 1, 8, 8), np.uint8), r"found uint8. Divide by 255\.$"),
        (np.zeros((1, 1, 8, 8), np.int64), r"found int64\.$"),
        ([[0.0]], r"as a tensor or an array, found list\.$"),
    ],
)
def test_images_that_are_none(vae, method, x, found):
    with pytest.raises(UserError, match=EXPECTED + found):
        getattr(vae, method)(x)


@pytest.mark.parametrize(
    ("z", "found"),
    [
        (torch.zeros(2, 3), r"found \(2, 3\)\.$"),
        (torch.zeros(2), r"found \(2,\)\.$"),
        (np.zeros((0, 2)), r"found \(0, 2\)\.$"),
        (torch.tensor([[0, torch.inf]]), r"found NaN or infinity\.$"),
        (np.zeros((1, 2), np.int32), r"found int32\.$"),
    ],
)
def test_codes_that_are_none(vae, z, found):
    with pytest.raises(UserError, match=r"vae: expected codes \(N, 2\), finite floats, " + found):
        vae.decode(z)


def test_counts_out_of_range(vae):
    for n in (0, -3, 2.5, True, "3", None):
        with pytest.raises(UserError, match=rf"^sample: expected n, a positive integer, found {n!r}\.$"):
            vae.sample(n, torch.Generator())  # type: ignore[arg-type]
    for steps in (1, 2.0, "11"):
        with pytest.raises(UserError, match=rf"^interpolate: expected steps, an integer from 2 on, found {steps!r}\.$"):
            vae.interpolate(*images(2), steps=steps)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^vae: expected two images \(1, 8, 8\), found a list\.$"):
        vae.interpolate([[0.0]], images(2)[0])
    with pytest.raises(UserError, match=r"expected two images \(1, 8, 8\), found one of \(1, 1, 8, 8\)"):
        vae.interpolate(images(1), images(1))
    for count in (0, 4, 1.5):
        with pytest.raises(UserError, match=rf"expected a count from 1 to 3 \(the codes\), found {count}"):
            vae.neighbours(images(1), torch.zeros(3, 2), count)


def test_a_device_that_is_not_there(trained):
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"^device: cuda, but torch sees no CUDA device"):
            load_model(trained / "vae", "cuda")
    with pytest.raises(UserError, match="device: expected auto, cpu, cuda or cuda:N, found 'gpu'"):
        load_model(trained / "vae", "gpu")


def test_a_model_shows_what_it_is(trained):
    model = load_model(trained / "vae", "cpu")
    weights = model.description["parameters"]
    assert repr(model) == f"TrainedModel('vae': VAE mlp, 1×8×8 → 2, {weights:,} weights, tiny, on cpu)"
    assert repr(load_model(trained / "pca", "cpu")).startswith("TrainedModel('pca': PCA, 1×8×8 → 2, ")
