import pytest

from autoencoders.text import format_bytes, format_change, format_number, format_tenths, join_words, typeset


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
def test_a_change_is_given_in_per_cent(value, reference, expected):
    assert format_change(value, reference) == expected


def test_words_are_listed_with_one_and():
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b"]) == "a and b"
    assert join_words(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999.7, "1,000"),
        (0.0385, "0.0385"),
        (0.009, "0.00900"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (1.0, "1.00"),
        (-741.83, "−742"),
        (float("nan"), "n/a"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


def test_numbers_keep_their_units_on_their_line():
    told = "64 pictures (50 kB) at 30.1 dB, 28 % less at β = 0.1; 12 months"
    assert typeset(told) == (
        "64\u00a0pictures (50\u00a0kB) at 30.1\u00a0dB, 28\u00a0% less at β\u00a0=\u00a00.1; 12 months"
    )


def test_apostrophes_are_typeset():
    assert typeset("PCA's error; the models' codes") == "PCA’s error; the models’ codes"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (784, "784 B"), (3136, "3.1 kB"), (61_956, "62 kB"), (999_600, "1.0 MB"), (5e12, "5000 GB")],
)
def test_bytes_are_readable(count, text):
    assert format_bytes(count) == text


def test_a_decimal_has_a_true_minus_and_separated_thousands():
    assert [format_tenths(value) for value in (99.94, -43404.04, 0.0)] == ["99.9", "−43,404.0", "0.0"]
