"""Small images, and a record of the text that a figure really draws."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from autoencoders.plots.style import look


def random_images(count: int, shape: tuple[int, int, int] = (1, 9, 9), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *shape)).astype(np.float32)


@pytest.fixture
def images() -> Callable[..., np.ndarray]:
    return random_images


@pytest.fixture
def long_names() -> list[str]:
    return [f"vae_conv_beta4_latent_{i:02d}" for i in range(12)]


@pytest.fixture
def drawn(monkeypatch) -> Callable[[Figure], list[tuple[str, Bbox]]]:
    """Draw a figure with Agg; return each text that appeared and its extent in pixels."""

    def record(figure: Figure) -> list[tuple[str, Bbox]]:
        seen: list[tuple[str, Bbox]] = []
        draw = Text.draw

        def recording(self: Text, renderer: object, *args: object, **kwargs: object) -> None:
            if self.get_visible() and self.get_text().strip():
                seen.append((self.get_text(), Text.get_window_extent(self, renderer)))
            draw(self, renderer, *args, **kwargs)

        with monkeypatch.context() as patch, look():
            patch.setattr(Text, "draw", recording)
            FigureCanvasAgg(figure).draw()
        return seen

    return record


@pytest.fixture
def assert_legible(drawn) -> Callable[[Figure], None]:
    """Assert that every text lies within the figure and that no two cover each other by more than a pixel."""

    def check(figure: Figure) -> None:
        texts = drawn(figure)
        assert texts
        width, height = figure.bbox.size
        for text, box in texts:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, f"{text!r} is clipped: {box} in {width}×{height}"
        for (a, first), (b, second) in combinations(texts, 2):
            across = min(first.x1, second.x1) - max(first.x0, second.x0)
            up = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert across <= 1 or up <= 1, f"{a!r} and {b!r} overlap by {across:.1f} × {up:.1f} pixels"

    return check
