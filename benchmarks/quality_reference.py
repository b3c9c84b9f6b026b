"""The numbers to reach: what others measured by the same protocol, and how near this project must come.

MSE: mean over pixels and images. `neg_elbo` and `kl`: sums, in nats per image, on grey pixels with one sample of z.
All on the official 10,000 test images, after training on all 60,000 training images.
"""

from dataclasses import dataclass
from typing import NamedTuple

PROTOCOLS = ("pca", "p1", "keras", "pytorch")
SETS = ("mnist", "fashion-mnist")
PCA_TOLERANCE = 1e-6


class Run(NamedTuple):
    """One training; it yields one figure or several."""

    protocol: str
    dataset: str
    model: str
    """Kind and latent dimensions, such as `vae-16`."""


@dataclass(frozen=True)
class Figure:
    """One number to reach, or, where `target` is None, one to compare with."""

    run: Run
    metric: str
    references: tuple[float, ...]
    """One a seed; two are the ends of a range where only that is known."""
    target: float | None
    tolerance: float | None = None
    """None: at most `target`; else so near to it."""

    def met(self, measured: float) -> bool | None:
        """Tell whether `measured` meets the target; None where there is none. Not rounded; NaN never meets."""
        if self.target is None:
            return None
        if self.tolerance is None:
            return measured <= self.target
        return abs(measured - self.target) <= self.tolerance

    def shown(self, value: float, more: int = 0) -> str:
        """Return `value` with the digits of the reference, and `more`."""
        digits = {"pca": 6, "keras": 4}.get(self.run.protocol, 5) if self.metric == "mse" else 1
        return f"{value:.{digits + more}f}"

    @property
    def reference(self) -> str:
        """The reference as text, a range where there are several."""
        return "–".join(self.shown(value) for value in sorted({min(self.references), max(self.references)}))

    @property
    def goal(self) -> str:
        """The target as text; empty where there is none."""
        if self.target is None:
            return ""
        return f"≤ {self.target:g}" if self.tolerance is None else f"± {self.tolerance:g}"


# k → test MSE on MNIST, Fashion-MNIST
_PCA = {
    2: (0.055669, 0.046096),
    8: (0.037441, 0.026607),
    16: (0.026860, 0.020446),
    20: (0.023538, 0.018705),
    32: (0.016828, 0.015142),
}

# protocol, model, metric, then for MNIST and Fashion-MNIST: references, target
_NETWORKS: tuple[tuple[str, str, str, tuple[tuple[tuple[float, ...], float | None], ...]], ...] = (
    ("p1", "ae-16", "mse", (((0.00859,), 0.0090), ((0.01001,), 0.0105))),
    ("p1", "vae-16", "mse", (((0.00956,), 0.0100), ((0.01227,), 0.0127))),
    ("p1", "vae-16", "neg_elbo", (((102.2,), None), ((240.5,), None))),
    ("keras", "vae-2", "neg_elbo", (((151.3, 152.6, 153.3), 154.0), ((264.6, 263.2), 266.0))),
    ("keras", "vae-2", "kl", (((6.0,), None), ((6.3,), None))),
    ("keras", "vae-2", "mse", (((0.0412, 0.0421), None), ((0.0282, 0.0290), None))),
    ("pytorch", "vae-20", "neg_elbo", (((105.2,), 106.0), ((244.0,), 245.0))),
    ("pytorch", "vae-20", "kl", (((25.6,), None), ((16.4,), None))),
)


def _figures() -> list[Figure]:
    """All figures, in the order in which they are measured: by protocol, then by data set."""
    figures = [
        Figure(Run("pca", dataset, f"pca-{k}"), "mse", (values[column],), values[column], PCA_TOLERANCE)
        for column, dataset in enumerate(SETS)
        for k, values in _PCA.items()
    ]
    for protocol in PROTOCOLS:
        for column, dataset in enumerate(SETS):
            figures += [
                Figure(Run(protocol, dataset, model), metric, *columns[column])
                for of, model, metric, columns in _NETWORKS
                if of == protocol
            ]
    return figures


FIGURES = _figures()
