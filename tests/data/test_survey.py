import numpy as np
import pytest
from PIL import Image

from autoencoders.data.survey import sample_of, survey


def test_of_many_images_as_many_at_even_distances_are_looked_at():
    assert sample_of([str(i) for i in range(10)], 4) == ["0", "3", "6", "9"]
    assert sample_of(["a", "b"], 2) == ["a", "b"]
    assert len(sample_of(list("ab" * 501), 1000)) <= 1000


def test_what_is_seen_is_what_the_files_hold(tmp_path, capsys):
    grey = np.full((8, 8), 128, np.uint8)
    grey[:4] = 0
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.stack([grey, grey, grey // 2], -1)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("not an image")
    Image.fromarray(grey.astype(np.uint16) * 16).save(tmp_path / "d.png")  # 12 bits: 2048 of 4095 is as light
    seen = survey(tmp_path)
    assert (seen.images, seen.grey, seen.coloured) == (
        ["a.png", "b.png", "c.png", "d.png"],
        ["a.png", "d.png"],
        ["b.png"],
    )
    assert (seen.size, seen.pixels.shape) == ((8, 8), (3, 3, 8, 8))
    assert seen.pixels[2, 0, :, 0].tolist() == [0] * 4 + [128] * 4
    assert seen.black_or_white == pytest.approx(0.5)
