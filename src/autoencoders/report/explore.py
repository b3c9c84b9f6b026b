"""Which models decode in the page: all of two latent dimensions, and the largest other VAE that fits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.prepared import PreparedData
from autoencoders.models import Model
from autoencoders.params import KINDS, Params
from autoencoders.report.decoders import MAX_WEIGHTS, Part, weights_by_part
from autoencoders.report.planes import Dots, Plane, class_names, dots, plane
from autoencoders.report.sliders import Sliders, sliders


@dataclass(frozen=True)
class Explorable:
    """What decodes in the page, and the names of models whose decoders are too large for it.

    `without_plane` have two latent dimensions; `without_sliders` are the other VAEs where none of them fits.
    """

    planes: Sequence[Plane]
    dots: Dots | None  # None where there is no plane
    sliders: Sliders | None
    without_plane: Sequence[str]
    without_sliders: Sequence[str]

    def data(self) -> dict[str, Any]:
        """Return what the page's scripts read: decoders name their `parts` by place, as several may share one."""
        parts: dict[Part, int] = {}
        data, deep = asdict(self), [self.sliders.decoder] if self.sliders else []
        decoders = [*(plane.decoder for plane in self.planes), *deep]
        for shown, decoder in zip([*data["planes"], data["sliders"]], decoders, strict=False):
            shown["decoder"]["parts"] = [parts.setdefault(part, len(parts)) for part in decoder.parts]
        return data | {"parts": [asdict(part) for part in parts]}


def explorable(
    params: Params,
    models: Mapping[str, Model],
    codes: Mapping[str, NDArray[np.float32]],
    data: PreparedData,
    indices: NDArray[np.intp],
) -> Explorable:
    """Return what decodes in the page; all decoders together have at most `MAX_WEIGHTS` weights.

    `codes`: those of the test images by model; `indices`: the test images that the sliders may start from.
    """
    test, info = data.split("test"), data.info
    names = {} if test.labels is None else class_names(test.labels, info.classes)
    flat = [name for name, model in models.items() if model.latent == 2]
    deep = [name for name in models if KINDS[params.models[name].kind].has_posterior and name not in flat]
    parts = {name: weights_by_part(models[name]) for name in (*flat, *deep)}
    sizes = {name: sum(of.values()) for name, of in parts.items()}
    held: dict[str, int] = {}

    def fits(name: str) -> bool:
        return sum((held | parts[name]).values()) <= MAX_WEIGHTS

    shown, without_plane = [], []
    for name in flat:
        if not fits(name):
            without_plane.append(name)
            continue
        held |= parts[name]
        label = KINDS[params.models[name].kind].label
        shown.append(plane(name, label, models[name], codes[name], test.labels, info.classes))
    fitting = [name for name in deep if fits(name)]
    largest = max(fitting, key=sizes.__getitem__, default=None)
    return Explorable(
        shown,
        dots(test, info) if shown else None,
        None if largest is None else sliders(largest, models[largest], codes[largest], test, indices, names),
        without_plane,
        [] if fitting else deep,
    )
