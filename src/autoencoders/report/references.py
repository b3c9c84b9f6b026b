"""Figures that other software, or other protocols, reached on the same test images.

A protocol is a network, an optimiser and a number of epochs; figures are comparable within one protocol. All were
measured on the official test images after training on all 60,000 training images; `benchmarks/` repeats them.
"""

from typing import NamedTuple

Figures = tuple[float, ...]  # one figure, or the ends of the range over several seeds

P1 = "P1"
PROTOCOLS = {
    P1: "plain PyTorch models that this project trains in its benchmarks, 784-400-k-400-784 with ReLU, Adam 0.001, "
    "batch 128, 50 epochs; AE: squared error, VAE: cross-entropy + KL; PCA: exact",
    "Keras": "Keras’ variational-autoencoder script: 784-256-2, RMSprop 0.001, batch 100, 50 epochs, 2 or 3 seeds",
    "PyTorch": "pytorch/examples vae: 784-400-20, Adam 0.001, batch 128, 10 epochs",
    "PyTorch, longer": "the same with 50 epochs in place of 10",
}


class Reference(NamedTuple):
    """A model of a protocol; `figures` by the comparison's column names."""

    protocol: str
    kind: str  # pca, autoencoder or vae, as in params.yaml
    latent: int
    figures: dict[str, Figures]


def _p1(kind: str, figures: dict[int, dict[str, float]]) -> list[Reference]:
    return [
        Reference(P1, kind, latent, {column: (value,) for column, value in of.items()})
        for latent, of in figures.items()
    ]


_PCA = {
    "mnist": {2: 0.055669, 8: 0.037441, 16: 0.026860, 20: 0.023538, 32: 0.016828},
    "fashion-mnist": {2: 0.046096, 8: 0.026607, 16: 0.020446, 20: 0.018705, 32: 0.015142},
}
_P1_AE: dict[str, dict[int, dict[str, float]]] = {
    "mnist": {2: {"mse": 0.03983}, 16: {"mse": 0.00859, "ssim": 0.925}, 20: {"mse": 0.00697}, 32: {"mse": 0.00444}},
    "fashion-mnist": {
        2: {"mse": 0.02675}, 16: {"mse": 0.01001, "ssim": 0.812}, 20: {"mse": 0.00929}, 32: {"mse": 0.00782},
    },
}  # fmt: skip
_P1_VAE: dict[str, dict[int, dict[str, float]]] = {
    "mnist": {
        2: {"mse": 0.03966, "neg_elbo": 148.3},
        16: {"mse": 0.00956, "ssim": 0.912, "neg_elbo": 102.2},
        20: {"mse": 0.00822},
        32: {"mse": 0.00760, "neg_elbo": 101.9},
    },
    "fashion-mnist": {
        2: {"mse": 0.02738, "neg_elbo": 261.0},
        16: {"mse": 0.01227, "ssim": 0.780, "neg_elbo": 240.5},
        20: {"mse": 0.01253},
        32: {"mse": 0.01223, "neg_elbo": 240.8},
    },
}
_SCRIPTS = {
    "mnist": [
        Reference("Keras", "vae", 2, {"neg_elbo": (151.3, 153.3), "kl": (6.0,), "mse": (0.0412, 0.0421)}),
        Reference("PyTorch", "vae", 20, {"neg_elbo": (105.2,), "kl": (25.6,)}),
        Reference("PyTorch, longer", "vae", 20, {"neg_elbo": (101.7,)}),
    ],
    "fashion-mnist": [
        Reference("Keras", "vae", 2, {"neg_elbo": (263.2, 264.6), "kl": (6.3,), "mse": (0.0282, 0.0290)}),
        Reference("PyTorch", "vae", 20, {"neg_elbo": (244.0,), "kl": (16.4,)}),
        Reference("PyTorch, longer", "vae", 20, {"neg_elbo": (241.0,)}),
    ],
}


def references_for(dataset: str) -> list[Reference]:
    """Return the figures known for a data set, none for most."""
    if dataset not in _PCA:
        return []
    pca = {latent: {"mse": value} for latent, value in _PCA[dataset].items()}
    networks = [*_p1("autoencoder", _P1_AE[dataset]), *_p1("vae", _P1_VAE[dataset])]
    return [*_p1("pca", pca), *networks, *_SCRIPTS[dataset]]
