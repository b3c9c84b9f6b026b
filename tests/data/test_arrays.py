import numpy as np

from autoencoders.data import arrays
from autoencoders.data.arrays import gather, spool


def test_spooled_and_gathered_arrays_are_the_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 40)  # three images
    images = np.random.default_rng(0).integers(0, 256, (10, 2, 3, 4), dtype=np.uint8)
    spooled = spool(tmp_path / "all", (images[i : i + 3] for i in range(0, 10, 3)), (2, 3, 4))
    np.testing.assert_array_equal(spooled, images)
    order = np.array([7, 1, 1, 9])
    np.testing.assert_array_equal(gather(tmp_path / "some", spooled[:, :1], order), images[order][:, :1])
    assert spool(tmp_path / "none", iter(()), (2, 3, 4)).shape == (0, 2, 3, 4)
