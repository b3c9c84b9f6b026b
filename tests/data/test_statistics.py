import numpy as np
import pytest

from autoencoders.data import arrays
from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.data.statistics import sample_rows, statistics_of


@pytest.fixture
def prepared(tmp_path):
    def write(labelled: bool) -> PreparedData:
        rng = np.random.default_rng(0)

        def split(count: int) -> Split:
            images = rng.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8)
            return Split(images, np.arange(count) % 3 if labelled else None)

        splits = {"train": split(31), "val": split(4), "test": split(2)}
        write_prepared(tmp_path, "x", splits, ["a", "b", "c", "empty"] if labelled else None)
        return PreparedData(tmp_path)

    return write


def test_the_numbers_are_those_of_the_whole_training_split(prepared, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 7 * 60)  # seven images
    data = prepared(labelled=True)
    pixels = data.split("train").images.astype(np.float64) / 255
    found = statistics_of(data)
    np.testing.assert_allclose(found.mean_image, pixels.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-7)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)
    assert found.class_counts == {"train": [11, 10, 10, 0], "val": [2, 1, 1, 0], "test": [1, 1, 0, 0]}


def test_samples_of_classes_are_of_that_class(prepared):
    data = prepared(labelled=True)
    train = data.split("train")
    rows = sample_rows(data, seed=0, columns=5)
    assert [len(row) for row in rows] == [5, 5, 5, 0]
    for label, row in enumerate(rows):
        of_class = train.images[train.labels == label]
        assert all((of_class == image).all(axis=(1, 2, 3)).any() for image in row)
    assert len(sample_rows(data, seed=0, rows=2)) == 2


def test_without_labels_samples_are_any_images(prepared):
    data = prepared(labelled=False)
    assert statistics_of(data).class_counts is None
    assert [len(row) for row in sample_rows(data, seed=0, columns=12)] == [12, 12, 7]
    np.testing.assert_array_equal(sample_rows(data, seed=1)[0], sample_rows(data, seed=1)[0])
