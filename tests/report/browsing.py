"""What the tests of pages in Chromium share: models, and what a tab shows of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autoencoders.data.principal_components import principal_components
from autoencoders.models import PCA, Model, build
from autoencoders.params import KINDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

COORDINATES = r"z₁ = (−?[\d.]+)\s+z₂ = (−?[\d.]+)"
MODELS = {
    "mlp": ((1, 28, 28), {"kind": "vae", "arch": "mlp", "hidden": [32, 16]}),
    "mlp-colour": ((3, 8, 10), {"kind": "autoencoder", "arch": "mlp", "hidden": [16]}),
    "conv": ((1, 28, 28), {"kind": "autoencoder", "arch": "conv", "hidden": [8, 16]}),
    "mlp-residual": ((1, 9, 9), {"kind": "autoencoder", "arch": "mlp", "hidden": [16, 16]}),
    "mlp-scores": ((3, 20, 18), {"kind": "autoencoder", "arch": "mlp", "hidden": [16]}),
    "mlp-gaussian": ((3, 8, 10), {"kind": "vae", "arch": "mlp", "hidden": [16], "likelihood": "gaussian"}),
    "conv-colour-odd": ((3, 33, 21), {"kind": "vae", "arch": "conv", "hidden": [6, 8, 10]}),
    "conv-gaussian-odd": (
        (3, 33, 22),
        {"kind": "vae", "arch": "conv", "hidden": [6, 8], "decoder_hidden": [6, 7, 5], "likelihood": "gaussian"},
    ),
    "pca": ((3, 5, 4), {"kind": "pca"}),
}


def model_of(name: str, latent: int = 2) -> Model:
    shape, params = MODELS[name]
    model = build(KINDS[params["kind"]].params(latent=latent, **params), shape, torch.Generator().manual_seed(0))
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    if isinstance(model, PCA):
        model.initialise(principal_components(images, latent))
    return model


def decoded(model: Model, z: Any) -> NDArray[np.float32]:
    """What PyTorch draws with weights of 8 bits, as the page shows it: in [0, 1]."""
    layers = deepcopy(nn.Sequential(*model.decoder_layers()))
    with torch.inference_mode():
        for layer in layers.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                for row in layer.weight:
                    step = max(float(row.abs().max()), 1e-30) / 127
                    row.copy_((row / step).round() * step)
        images = layers(torch.as_tensor(np.atleast_2d(z), dtype=torch.float32))
    return images.view(-1, *model.shape).clamp(0, 1).numpy()


@contextmanager
def opened(browser: "Browser", path: Path, **settings: Any) -> "Iterator[Tab]":
    context = browser.new_context(**settings)
    tab = context.new_page()
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url))
    tab.goto(path.as_uri())
    yield tab
    context.close()
    assert trouble == []


def coordinates(tab: "Tab", place: int = 0) -> tuple[float, float]:
    settle(tab)
    found = re.search(COORDINATES, tab.locator("output").nth(place).inner_text())
    first, second = (float(text.replace("−", "-")) for text in found.groups())
    return first, second


def settle(tab: "Tab") -> None:
    """Wait until what was asked for is drawn."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawn(tab: "Tab", place: int = 0) -> NDArray[np.uint8]:
    """The pixels (H, W, RGBA) of the decoded image."""
    settle(tab)
    script = """i => {
        const {height, width} = latentPlanes[i].image;
        return [height, width, [...latentPlanes[i].image.getContext("2d").getImageData(0, 0, width, height).data]];
    }"""
    height, width, values = tab.evaluate(script, place)
    return np.array(values, np.uint8).reshape(height, width, 4)


def box(tab: "Tab", place: int = 0) -> tuple[float, float, float]:
    """Left and top of a plane's canvas in the window, and its width."""
    canvas = tab.locator(".codes").nth(place)
    canvas.scroll_into_view_if_needed()
    found = canvas.bounding_box()
    return found["x"], found["y"], found["width"]
