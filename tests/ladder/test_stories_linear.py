from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autoencoders.ladder.linear.measure import Fit, Fits, Nonlinear, story_facts
from autoencoders.ladder.linear.pca_curve import PcaCurve
from autoencoders.ladder.stories import Story, render_story

ERRORS = [0.04, 0.033, 0.03, 0.028]
"""PCA's with 0 … 3 components, on the training images and on the test images."""


def fit(mse: float, largest_angle: float, test_mse: float | None = None) -> dict[int, Fit]:
    """A linear autoencoder of two numbers."""
    return {2: Fit(mse if test_mse is None else test_mse, mse, np.array([0.1, largest_angle]), np.zeros((4, 2)))}


def curve(next_error: float = 0.028) -> PcaCurve:
    errors = np.array([*ERRORS[:3], next_error])
    return PcaCurve(np.zeros((4, 3)), errors, errors)


def story(
    fits: Fits, curve: PcaCurve, nonlinear: Nonlinear | None = None, images: int = 1000, begun: Sequence[str] = ()
) -> Story:
    facts = story_facts(fits, curve, nonlinear or {}, begun, images)
    return render_story(
        {"name": "linear", "facts": facts, "metrics": {"k-2/linear_mse": 0.03}, "params": {}}, Path("linear")
    )


def errors_of(fits: Fits, curve: PcaCurve) -> str:
    return story(fits, curve).paragraphs[0]


def angles_of(fits: Fits, curve: PcaCurve) -> str:
    return story(fits, curve).paragraphs[1]


def conclusion_of(fits: Fits, curve: PcaCurve) -> str:
    return story(fits, curve).paragraphs[2].partition(" A nonlinear autoencoder")[0]


def test_one_that_has_arrived_is_pca():
    arrived = fit(0.030009, 0.43)
    errors = errors_of(arrived, curve())
    assert (
        "0.03001 with 2 numbers (PCA 0.03000: 0.03 % more than that). Training step by step, it has reached" in errors
    )
    assert errors.endswith("On the test images the error is 0.03001 (PCA 0.03000: 0.03 % more than that).")
    assert angles_of(arrived, curve()).endswith("The largest angle is 0.43° with 2 numbers.")
    assert story(arrived, curve()).title == "A linear autoencoder is PCA"
    assert conclusion_of(arrived, curve()) == (
        "So a linear autoencoder is PCA: the same error within 0.1 %, the same space within 1°."
    )


def test_one_with_a_higher_error_is_not():
    short = fit(0.031, 0.5)
    assert "With 2 numbers it has not come within 0.1 % of PCA here" in errors_of(short, curve())
    assert story(short, curve()).title == "A linear autoencoder, and PCA"
    assert conclusion_of(short, curve()) == (
        "So here the linear autoencoder is not PCA yet: its error is still higher, by 3.3 % with 2 numbers."
    )


def test_one_that_leans_has_the_error_alone():
    leaning = fit(0.03001, 12.1)
    assert story(leaning, curve()).title == "A linear autoencoder has PCA's error"
    assert conclusion_of(leaning, curve()).endswith("Its space is not quite PCA's: it leans by 12° with 2 numbers.")


def test_a_lean_at_the_same_error_is_explained_by_the_next_component():
    explanation = "With 2 numbers that is at PCA's own error: component 2 lowers it by 0.0030, and component 3"
    assert f"The largest angle is 12° with 2 numbers. {explanation}" in angles_of(fit(0.03001, 12.1), curve())
    for alone in (angles_of(fit(0.03001, 12.1), curve(0.0295)), angles_of(fit(0.031, 12.1), curve())):
        assert alone.endswith("The largest angle is 12° with 2 numbers.")


def test_other_errors_on_new_images_are_explained():
    few = fit(0.030009, 0.43, test_mse=0.0312)
    assert "On the test images the error is 0.03120 (PCA 0.03000: 4.0 % more than that). Their reconstructions" in (
        errors_of(few, curve())
    )
    assert story(few, curve()).title == "A linear autoencoder is PCA"


def test_nonlinearity_is_praised_only_where_it_helped():
    arrived = fit(0.030009, 0.43)
    gained, lost = (story(arrived, curve(), {"ae": (2, mse)}).paragraphs[2] for mse in (0.015, 0.031))
    assert gained.endswith(
        "ae, with 2 numbers, has a test error of 0.01500, 50 % less than PCA with as many. The gain comes from "
        "the nonlinearity."
    )
    assert "Nonlinearity alone gains nothing" in lost


NO_ERROR = PcaCurve(np.zeros((4, 3)), np.array([1e-12, 3e-17, 2e-17, 0.0]), np.array([1e-12, 3e-17, 2e-17, 0.0]))
"""What PCA leaves of pictures that are all the same."""


def test_of_pictures_that_are_all_the_same_nothing_is_said_in_shares():
    alike = fit(4e-10, 0.0)
    nonlinear = story(alike, NO_ERROR, {"ae": (2, 0.012)}).paragraphs[2]
    text = " ".join([errors_of(alike, NO_ERROR), angles_of(alike, NO_ERROR), conclusion_of(alike, NO_ERROR)])
    assert "0.00000 with 2 numbers (PCA 0.00000: the same)" in text
    assert "do not differ, so there is no direction to compare" in text
    assert "cannot distinguish a linear autoencoder from PCA: they are all alike" in text
    assert nonlinear.endswith(
        "ae, with 2 numbers, has a test error of 0.01200, more than PCA with as many. PCA leaves no error here that "
        "nonlinearity could remove."
    )
    for word in ("less", "1°", "leans", "within 0.1 %"):
        assert word not in text.partition("Trained by its squared error")[2].replace("nothing", "")
    assert story(alike, NO_ERROR).title == "Images that are all alike leave an autoencoder nothing to learn"


def test_an_error_where_pca_has_none_is_given_as_it_is():
    few = PcaCurve(np.zeros((4, 3)), np.array([0.04, 0.01, 0.0, 0.0]), np.array([0.04, 0.01, 0.0, 0.0]))
    short = fit(0.0002, 0.5)
    assert conclusion_of(short, few).endswith("its error is still higher, by 0.0002 per pixel with 2 numbers.")
    assert "0.00020 with 2 numbers (PCA 0.00000: more than that)" in errors_of(short, few)


def test_directions_in_which_the_images_do_not_differ_are_not_compared():
    few = PcaCurve(np.zeros((4, 3)), np.array([0.04, 0.0, 0.0, 0.0]), np.array([0.04, 0.0, 0.0, 0.0]))
    two = {2: Fit(0.0, 0.0, np.array([0.2]), np.zeros((4, 2)))}
    assert few.found(2) == 1
    assert angles_of(two, few).endswith(
        "Of the 2 directions that 2 numbers allow, PCA finds 1 in which these images differ; the others are arbitrary, "
        "and are not compared. The largest angle is 0.2° with 2 numbers."
    )
    assert story(two, few).title == "A linear autoencoder is PCA"


def test_autoencoders_that_began_as_pca_are_named():
    nonlinear = {"ae": (2, 0.02), "other": (2, 0.025)}
    arrived = fit(0.030009, 0.43)
    assert "Before the first step" not in story(arrived, curve(), nonlinear).paragraphs[2]
    alone, both = (story(arrived, curve(), nonlinear, begun=names).paragraphs[2] for names in (["ae"], ["ae", "other"]))
    assert "Before the first step ae was PCA: the linear part" in alone
    assert "Before the first step ae and other were PCA: the linear part" in both


def test_the_claim_and_the_result_follow_the_numbers():
    def card(mse: float, nonlinear: Nonlinear | None = None, test_mse: float | None = None) -> tuple[str, str]:
        told = story(fit(mse, 0.43, test_mse), curve(), nonlinear)
        return told.claim, told.result

    alone, both = "and nothing better.", "and nothing better; a nonlinear one does better."
    unconfirmed = " Here this is not confirmed."
    assert card(0.030009)[0].endswith(alone)
    assert card(0.031)[0].endswith(alone + unconfirmed)
    assert card(0.030009, {"ae": (2, 0.015)})[0].endswith(both)
    assert card(0.030009, {"ae": (2, 0.015), "other": (2, 0.02999)})[0].endswith(both + unconfirmed)
    assert card(0.030009)[1] == "Test error with 2 numbers: PCA 0.03000, linear autoencoder 0.03001."
    assert card(0.030009, test_mse=0.0312)[1].endswith(
        "linear autoencoder 0.03120. On the training images the errors are the same within 0.1 %."
    )
