"""Every number of the evaluation, computed again: from codes, prepared arrays, and the formulas of textbooks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import kstest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch.distributions import Bernoulli, Normal, kl_divergence
from torchmetrics.functional.image.ssim import structural_similarity_index_measure

from autoencoders.data.prepared import PreparedData, Split
from autoencoders.evaluation.measures import MEASURES
from autoencoders.evaluation.model_evaluation import measure_bounds
from autoencoders.evaluation.pinned_features import load_features
from autoencoders.model_folder import load_trained
from autoencoders.models import VAE
from autoencoders.params import Params, Vae, parse_params
from autoencoders.stages.compare import compare
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features
from autoencoders.stages.train import train

LogLikelihood = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
SEED, SAMPLES, IMAGES, COMPONENTS, GENERATED = 7, 5, 10, 3, 120
"""Settings of the evaluation; no default, so that each is seen to be used."""


@pytest.fixture
def settings(params) -> Params:
    raw = params.model_dump()
    raw["evaluate"] = {
        "seed": SEED,
        "importance_samples": SAMPLES,
        "importance_images": IMAGES,
        "mixture_components": COMPONENTS,
    }
    raw["features"]["images"] = GENERATED
    return parse_params(raw)


@pytest.fixture(params=["labelled", "unlabelled", "one class to train on"])
def data(request, prepared, tmp_path) -> Path:
    """The prepared images; their labels are random, so that no probe is always right, or there are none.

    Or those of the training images are all the same, as in a set of flawless products.
    """
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    described = json.loads((folder / "dataset.json").read_text())
    random = np.random.default_rng(0)
    for split, count in described["counts"].items():
        if request.param != "unlabelled":
            only = request.param != "labelled" and split == "train"
            np.save(folder / split / "labels.npy", random.integers(0, 1 if only else 3, count))
        else:
            (folder / split / "labels.npy").unlink()
    if request.param == "unlabelled":
        (folder / "dataset.json").write_text(json.dumps(described | {"classes": None}))
    return folder


@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_every_number_is_what_the_formulas_give(name, settings, data, trained, tmp_path, monkeypatch):
    for module in ("model_evaluation", "sampling"):
        monkeypatch.setattr(f"autoencoders.evaluation.{module}.EVAL_BATCH", 8)  # 8, 8 and 4 of the 20 images
    folder, out = tmp_path / "features", tmp_path / "evaluation"
    features(settings, data=data, out=folder)
    evaluate(settings, model=trained / name, data=data, features=folder, out=out)
    stored = PreparedData(data)
    train, test = stored.split("train"), stored.split("test")
    x, x_train = (torch.from_numpy(np.array(split.images)).float() / 255 for split in (test, train))
    model: Any = load_trained(trained / name).model
    extractor = load_features(folder, torch.device("cpu"), stored.info).extractor
    with torch.no_grad():
        mu, logvar = model.posterior(x)
        codes, train_codes = mu.numpy(), model.encode(x_train).numpy()
        drawn = codes
        if logvar is not None:
            noise = np.random.default_rng(SEED).standard_normal(codes.shape)
            drawn = codes + np.sqrt(np.exp(logvar.numpy())) * noise
        dimensions = by_dimension(mu, logvar, drawn)
        errors = (model.decode(mu) - x).square().flatten(1).mean(1).numpy()
        expected = reconstruction(x, model.decode(mu)) | {"mse_over_pca": error_beside_pca(x_train, x, model)}
        expected |= {"mmd": mmd(drawn), "ks": dimensions["ks"].mean()}
        if logvar is not None:
            expected |= {"kl": dimensions["kl"].sum(), "active_units": (dimensions["variance"] > 0.01).sum()}
            expected |= bounds(bernoulli(model), x, mu, logvar.exp().sqrt(), dimensions["kl"].sum())
        if train.has_classes and train.labels is not None and test.labels is not None:
            expected |= probes(train_codes, train.labels, codes, test.labels)
        reference = extractor.features(x)
        expected["frechet/floor"] = frechet(extractor.features(x_train), reference)
        for source, z in draws(train_codes.astype(np.float64)).items():
            images = model.decode(torch.from_numpy(z).float()).clamp(0, 1)
            expected[f"frechet/{source}"] = frechet(extractor.features(images), reference)

    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics == pytest.approx(expected, rel=1e-4, abs=1e-7)
    np.testing.assert_allclose(np.load(out / "codes" / "test.npy"), codes, atol=1e-6)
    np.testing.assert_allclose(np.load(out / "codes" / "errors.npy"), errors, atol=1e-6)
    pd.testing.assert_frame_equal(pd.read_csv(out / "codes" / "dimensions.csv"), dimensions, rtol=1e-4)
    groups = ["all", *["posterior"] * (name == "vae"), *["labelled"] * train.has_classes]
    listed = [measure for measure in MEASURES.values() if measure.source == "evaluate" and measure.models in groups]
    assert metrics.keys() == {measure.key for measure in listed}


def test_bits_per_dimension_are_the_nll_of_a_trained_logistic_vae(settings, prepared, tmp_path):
    """Its likelihood is computed again as a difference of sigmoids."""
    raw = settings.model_dump()
    raw["models"]["vae"]["likelihood"] = "logistic"
    logistic, out = parse_params(raw), tmp_path / "evaluation" / "vae"
    features(logistic, data=prepared, out=tmp_path / "features")
    stores = {"checkpoints": tmp_path / "checkpoints", "out": tmp_path / "models" / "vae"}
    train(logistic, model="vae", data=prepared, **stores)
    evaluate(logistic, model=stores["out"], data=prepared, features=tmp_path / "features", out=out)
    metrics = json.loads((out / "metrics.json").read_text())
    model: Any = load_trained(stores["out"]).model
    x = torch.from_numpy(np.array(PreparedData(prepared).split("test").images)).float() / 255

    def log_likelihood(image: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        mean, scale = model.decoder(z).double(), model.log_scale.double().exp()
        above, below = (torch.sigmoid((image.double() + side / 510 - mean) / scale) for side in (1, -1))
        below, above = torch.where(image == 0, 0.0, below), torch.where(image == 1, 1.0, above)
        return (above - below).log().flatten(1).sum(1)

    with torch.no_grad():
        mu, logvar = model.posterior(x)
        expected = bounds(log_likelihood, x, mu, logvar.exp().sqrt(), metrics["kl"])
    expected["bits_per_dim"] = expected["nll"] / (64 * np.log(2))
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    only = logistic.model_copy(update={"models": {"vae": logistic.models["vae"]}})
    compare(only, models=tmp_path / "models", evaluation=tmp_path / "evaluation", out=tmp_path / "comparison")
    row = pd.read_csv(tmp_path / "comparison" / "comparison.csv").iloc[0]
    assert (row["likelihood"], row["bits_per_dim"]) == ("logistic", pytest.approx(metrics["bits_per_dim"]))
    heading, _, cells = (tmp_path / "comparison" / "comparison.txt").read_text(encoding="utf-8").splitlines()[:3]
    assert "bits/dim" in heading
    assert f" {metrics['bits_per_dim']:.3f} " in cells


def test_a_model_whose_codes_say_nothing_costs_what_its_distribution_does(settings):
    """Codes are N(0, I) and the decoder ignores them: every bound is the cross-entropy of one distribution."""
    model = VAE(Vae(latent=2, hidden=[4], likelihood="logistic"), (1, 16, 16), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        model.decoder[0].linear[0].bias.fill_(0.5)
        model.log_scale.fill_(np.log(0.1))
    every_level = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    found = measure_bounds(model, Split(every_level, None), settings.evaluate, torch.device("cpu"))
    edges = 1 / (1 + np.exp(-(np.arange(1, 256) - 0.5 - 127.5) / 25.5))
    probabilities = np.diff([0, *edges, 1])
    assert found["bits_per_dim"] == pytest.approx(-np.log2(probabilities).mean(), rel=1e-6)
    assert found["bits_per_dim"] > 8  # all levels are as frequent as each other: only a uniform one costs 8 bits
    assert found["nll"] == pytest.approx(-found["elbo"], rel=1e-6)


def by_dimension(mu: torch.Tensor, logvar: torch.Tensor | None, drawn: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"dimension": [1, 2], "variance": mu.double().numpy().var(axis=0)})
    if logvar is not None:
        table["kl"] = kl_divergence(Normal(mu, logvar.exp().sqrt()), Normal(0.0, 1.0)).mean(0).double().numpy()
    table["ks"] = [kolmogorov_smirnov(column) for column in drawn.T]
    return table.assign(ks_p=[kstest(column.astype(np.float64), "norm").pvalue for column in drawn.T])


def error_beside_pca(x_train: torch.Tensor, x: torch.Tensor, model: Any) -> float:
    """PCA of two numbers, as the models have, fitted to the training images."""
    mean = x_train.flatten(1).mean(0)
    axes = torch.linalg.svd(x_train.flatten(1) - mean, full_matrices=False)[2][:2]
    recon = mean + (x.flatten(1) - mean) @ axes.T @ axes
    return ((model(x) - x).square().mean() / (recon - x.flatten(1)).square().mean()).item()


def reconstruction(x: torch.Tensor, recon: torch.Tensor) -> dict[str, float]:
    squared = ((x - recon) ** 2).double().mean(dim=(1, 2, 3))
    probability = recon.double().clamp(1e-7, 1 - 1e-7)
    entropy = -(x * probability.log() + (1 - x) * (1 - probability).log()).sum(dim=(1, 2, 3))
    similarity = structural_similarity_index_measure(recon.clamp(0, 1), x, data_range=1.0, reduction="none")
    return {
        "mse": squared.mean().item(),
        "bce": entropy.mean().item(),
        "ssim": similarity.mean().item(),
        "psnr": (-10 * squared.log10()).mean().item(),
    }


def bernoulli(model: Any) -> LogLikelihood:
    def log_likelihood(image: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return Bernoulli(model.decode(z), validate_args=False).log_prob(image).flatten(1).sum(1)

    return log_likelihood


def bounds(
    log_likelihood: LogLikelihood, x: torch.Tensor, mu: torch.Tensor, sigma: torch.Tensor, kl: float
) -> dict[str, float]:
    """One generator draws for the ELBO, image by image, and then K codes an image for the first images' NLL."""
    generator = torch.Generator().manual_seed(SEED)
    recon, nll = [], []
    for i in range(len(x)):
        z = mu[i] + sigma[i] * torch.randn((1, 2), generator=generator)
        recon.append(-log_likelihood(x[i], z).item())
    for i in range(IMAGES):
        z = mu[i] + sigma[i] * torch.randn((SAMPLES, 2), generator=generator)
        log_weights = log_likelihood(x[i], z) + (
            Normal(0.0, 1.0).log_prob(z) - Normal(mu[i], sigma[i]).log_prob(z)
        ).sum(1)
        nll.append(-log_weights.exp().mean().log().item())
    return {"recon": np.mean(recon), "elbo": -(np.mean(recon) + kl), "nll": np.mean(nll)}


def mmd(z: np.ndarray) -> float:
    """Squared MMD of two-dimensional codes from N(0, I), kernel exp(−d² / 2k): pairs summed, N(0, I) integrated."""
    z, k = z.astype(np.float64), z.shape[1]
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    weights /= np.sqrt(2 * np.pi)

    def against_prior(values: np.ndarray) -> np.ndarray:  # E over b ~ N(0, 1) of the kernel's factor of one dimension
        return np.exp(-((values[..., None] - points) ** 2) / (2 * k)) @ weights

    pairs = np.exp(-cdist(z, z, "sqeuclidean") / (2 * k))
    within = pairs[~np.eye(len(z), dtype=bool)].mean()
    return within + (against_prior(points) @ weights) ** k - 2 * against_prior(z).prod(axis=1).mean()


def kolmogorov_smirnov(values: np.ndarray) -> float:
    cdf, steps = norm.cdf(np.sort(values.astype(np.float64))), np.arange(len(values) + 1) / len(values)
    return max((steps[1:] - cdf).max(), (cdf - steps[:-1]).max())


def probes(train_z: np.ndarray, train_y: np.ndarray, z: np.ndarray, y: np.ndarray) -> dict[str, float]:
    nearest = np.argsort(cdist(z, train_z), axis=1)[:, :5]
    votes = [np.bincount(train_y[row]).argmax() for row in nearest]
    train_z, z = train_z.astype(np.float64), z.astype(np.float64)
    mean, std = train_z.mean(axis=0), train_z.std(axis=0)
    probe = LogisticRegression(max_iter=1000).fit((train_z - mean) / std, train_y)
    return {"knn5": np.mean(votes == y), "linear_probe": np.mean(probe.predict((z - mean) / std) == y)}


def draws(train_codes: np.ndarray) -> dict[str, np.ndarray]:
    """Codes from N(0, I), and from a Gaussian and a mixture of Gaussians that are fitted to the training codes."""
    mixture = GaussianMixture(COMPONENTS, reg_covar=1e-6 * train_codes.var(axis=0).mean(), random_state=SEED)
    mixture.fit(train_codes)
    sources = {
        "prior": (np.ones(1), np.zeros((1, 2)), np.eye(2)[None]),
        "gaussian": (np.ones(1), train_codes.mean(axis=0)[None], np.cov(train_codes.T)[None]),
        "mixture": (mixture.weights_, mixture.means_, mixture.covariances_),
    }
    drawn = {}
    for name, (weights, means, covariances) in sources.items():
        random = np.random.default_rng(SEED)
        component = random.choice(len(weights), GENERATED, p=weights)
        noise = random.standard_normal((GENERATED, 2))
        drawn[name] = np.stack([means[c] + sqrtm(covariances[c]) @ e for c, e in zip(component, noise, strict=True)])
    return drawn


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    (mean_a, cov_a), (mean_b, cov_b) = (
        (f.mean(axis=0), np.cov(f.T)) for f in (a.astype(np.float64), b.astype(np.float64))
    )
    cross = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0)).sum()
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
