import numpy as np

from autoencoders.plots.labels import far_apart, repel, spread


def test_spread_leaves_labels_that_are_apart():
    np.testing.assert_allclose(spread(np.array([0.9, 0.1, 0.5]), 0.1, 0, 1), [0.9, 0.1, 0.5])


def test_spread_parts_a_cluster_evenly_around_its_mean_and_keeps_the_order():
    np.testing.assert_allclose(spread(np.array([0.5, 0.5, 0.5]), 0.1, 0, 1), [0.4, 0.5, 0.6])
    np.testing.assert_allclose(spread(np.array([0.52, 0.5]), 0.1, 0, 1), [0.56, 0.46])


def test_spread_stays_inside_and_fills_the_range_where_labels_do_not_fit():
    np.testing.assert_allclose(spread(np.array([0.0, 0.0]), 0.1, 0, 1), [0.0, 0.1])
    np.testing.assert_allclose(spread(np.full(5, 0.3), 0.5, 0, 1), [0, 0.25, 0.5, 0.75, 1])


def test_repel_parts_coinciding_boxes():
    sizes = np.tile([0.04, 0.05], (47, 1))
    placed = repel(np.full((47, 2), 0.5), sizes, 0, 1)
    apart = np.abs(placed[:, None] - placed[None]) / sizes[0]
    overlap = np.clip(1 - apart.max(-1), 0, None) - np.eye(47)
    assert overlap.max() < 0.05
    assert placed.min() > 0
    assert placed.max() < 1


def test_values_are_far_apart_on_a_logarithmic_scale_in_either_direction():
    assert far_apart([1, 2, 10, 11, 100], np.log(5)) == [1, 10, 100]
    assert far_apart([100, 11, 10, 2, 1], np.log(5)) == [100, 11, 2]
    assert far_apart([3], 0.0) == [3]
