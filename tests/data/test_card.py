import numpy as np
import pytest

from autoencoders.data import arrays, card
from autoencoders.data.card import choose_samples, pixel_statistics, read_card, write_card
from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.errors import UserError


@pytest.fixture
def prepared(tmp_path):
    def write(labelled: bool) -> PreparedData:
        rng = np.random.default_rng(0)

        def split(count: int) -> Split:
            images = rng.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8)
            return Split(images, np.arange(count) % 3 if labelled else None)

        splits = {"train": split(31), "val": split(4), "test": split(2)}
        write_prepared(tmp_path / "data", "x", splits, ["a", "b", "c", "empty"] if labelled else None)
        return PreparedData(tmp_path / "data")

    return write


def test_the_numbers_are_those_of_the_whole_training_split(prepared, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 7 * 60)  # seven images
    data = prepared(labelled=True)
    pixels = data.split("train").images.astype(np.float64) / 255
    mean_image, mean, std = pixel_statistics(data)
    np.testing.assert_allclose(mean_image, pixels.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 2, 3)), atol=1e-7)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 2, 3)), atol=1e-6)


def test_samples_of_classes_are_of_that_class(prepared, monkeypatch):
    data = prepared(labelled=True)
    monkeypatch.setattr(card, "N_COLUMNS", 5)
    samples = choose_samples(data, seed=0)
    assert (samples >= 0).sum(axis=1).tolist() == [5, 5, 5, 0]
    for label, row in enumerate(samples[:3]):
        assert data.split("train").labels[row].tolist() == [label] * 5
        assert len(set(row)) == 5
    monkeypatch.setattr(card, "MAX_ROWS", 2)
    assert len(choose_samples(data, seed=0)) == 2


def test_without_labels_samples_are_any_images(prepared):
    data = prepared(labelled=False)
    samples = choose_samples(data, seed=1)
    assert sorted(samples[samples >= 0]) == list(range(31))
    assert (samples >= 0).sum(axis=1).tolist() == [12, 12, 7]
    np.testing.assert_array_equal(choose_samples(data, seed=1), samples)


def test_what_is_read_is_what_was_written(prepared, tmp_path):
    data, folder = prepared(labelled=True), tmp_path
    write_card(folder, data, seed=0, remarks={"unreadable": 1, "full_scale": 4095, "several_pictures": None})
    found = read_card(folder, data)
    numbers = found.numbers
    assert (numbers.name, numbers.unreadable, numbers.full_scale, numbers.several_pictures) == ("x", 1, 4095, None)
    assert [list(counts.values()) for counts in numbers.class_counts.values()] == [
        [11, 10, 10, 0], [2, 1, 1, 0], [1, 1, 0, 0],
    ]  # fmt: skip
    mean_image, mean, std = pixel_statistics(data)
    assert (numbers.pixel_mean, numbers.pixel_std) == (mean, std)
    np.testing.assert_array_equal(found.mean_image, mean_image)
    chosen = choose_samples(data, seed=0)
    assert [len(row) for row in found.samples] == [11, 10, 10, 0]
    np.testing.assert_array_equal(found.samples[1], data.split("train").images[chosen[1][:10]])
    before = (folder / "data_card.npz").read_bytes()
    write_card(folder, data, seed=0, remarks={})
    assert (folder / "data_card.npz").read_bytes() == before


def test_a_card_of_an_earlier_version_or_of_other_data_names_the_stage(prepared, tmp_path):
    data = prepared(labelled=True)
    write_card(tmp_path, data, seed=0, remarks={})
    with pytest.raises(UserError, match=r" is of other data than .*data holds\. Run the `prepare` stage\.$"):
        read_card(tmp_path, prepared(labelled=False))
    (tmp_path / "data_card.npz").unlink()
    with pytest.raises(UserError, match=r"data_card\.npz is missing or damaged \(.*\)\. Run the `prepare` stage\.$"):
        read_card(tmp_path, data)
