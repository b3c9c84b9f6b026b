import pytest

from autoencoders.ladder.words import compared, listed


@pytest.mark.parametrize(
    ("value", "reference", "expected"),
    [
        (0.72, 1.0, "28 % less"),
        (1.0003, 1.0, "0.03 % more"),
        (0.954, 1.0, "4.6 % less"),
        (30.0, 1.0, "2,900 % more"),
        (0.0996, 0.1, "0.40 % less"),
        (1.00001, 1.0, "the same"),
        (0.0, 0.0, "the same"),
    ],
)
def test_a_change_is_told_in_per_cent(value: float, reference: float, expected: str) -> None:
    assert compared(value, reference) == expected


def test_words_are_listed_with_one_and() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
