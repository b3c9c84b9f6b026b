"""Reconstruction metrics against closed forms, golden values and their own definitions."""

import math

import pytest
import torch

from autoencoders.evaluation.reconstruction import bce, mse, psnr, reconstruction_metrics, ssim


def images(count: int, shape: tuple[int, int, int] = (1, 28, 28), seed: int = 0) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_constant_error_has_known_mse_and_psnr():
    x = images(3, (3, 8, 8)) * 0.5
    torch.testing.assert_close(mse(x, x + 0.1), torch.full((3,), 0.01))
    torch.testing.assert_close(psnr(x, x + 0.1), torch.full((3,), 20.0))


def test_mse_does_not_clip_what_leaves_the_unit_interval():
    assert mse(torch.ones(1, 1, 4, 4), torch.full((1, 1, 4, 4), 3.0)).item() == pytest.approx(4.0)


def test_bce_is_a_sum_over_pixels_in_nats():
    x = (images(2) > 0.5).float()
    torch.testing.assert_close(bce(x, torch.full_like(x, 0.5)), torch.full((2,), 784 * math.log(2)))


def test_bce_of_grey_pixels_is_their_entropy_even_when_perfect():
    x = torch.full((1, 1, 5, 5), 0.3)
    assert bce(x, x).item() == pytest.approx(25 * -(0.3 * math.log(0.3) + 0.7 * math.log(0.7)), rel=1e-5)


def test_bce_of_certain_mistakes_is_finite():
    x = torch.ones(1, 1, 2, 2)
    assert bce(x, torch.full_like(x, -5.0)).item() == pytest.approx(4 * -math.log(1e-7), rel=1e-5)
    assert bce(x, torch.full_like(x, 7.0)).item() == pytest.approx(0, abs=1e-5)


def test_psnr_is_the_mean_of_decibels_not_of_errors():
    x = torch.zeros(2, 1, 4, 4)
    recon = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.001)])
    assert reconstruction_metrics([(x, recon)])[0]["psnr"] == pytest.approx((20 + 60) / 2, abs=1e-3)


def test_perfect_reconstruction_has_a_finite_psnr():
    assert psnr(images(1), images(1)).item() == pytest.approx(100.0)


def test_ssim_equals_torchmetrics_image_by_image():
    from torchmetrics.functional.image.ssim import structural_similarity_index_measure

    x, recon = images(6, (3, 17, 12)), images(6, (3, 17, 12), seed=1)
    expected = structural_similarity_index_measure(recon, x, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, recon), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [1, 4, 5, 8, 28])
def test_ssim_of_constant_images_is_the_luminance_term(side):
    x, recon = torch.full((2, 1, side, side), 0.2), torch.full((2, 1, side, side), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # Wang et al. 2004, eq. 6
    torch.testing.assert_close(ssim(x, recon), torch.full((2,), expected), rtol=0, atol=1e-3)
    torch.testing.assert_close(ssim(x, x), torch.ones(2), rtol=0, atol=1e-4)


def test_ssim_clips():
    x = images(2)
    torch.testing.assert_close(ssim(x, 3 * x - 1), ssim(x, (3 * x - 1).clamp(0, 1)))


def test_metrics_are_means_over_images_whatever_the_batches():
    x, recon = images(23), images(23, seed=1) * torch.linspace(0, 1, 23)[:, None, None, None]
    whole, errors = reconstruction_metrics([(x, recon)])
    parts, errors_of_parts = reconstruction_metrics(zip(x.split([1, 19, 3]), recon.split([1, 19, 3]), strict=True))
    assert set(whole) == {"mse", "bce", "ssim", "psnr"}
    assert parts == pytest.approx(whole, rel=1e-6)
    assert whole["mse"] == pytest.approx(((x - recon) ** 2).mean().item(), rel=1e-5)
    torch.testing.assert_close(errors, ((x - recon) ** 2).mean((1, 2, 3)))
    torch.testing.assert_close(errors_of_parts, errors)


def test_shapes_and_emptiness_are_refused():
    with pytest.raises(ValueError, match="share one shape"):
        mse(images(2), images(2, (1, 1, 28)))
    with pytest.raises(ValueError, match="no images"):
        reconstruction_metrics([])
