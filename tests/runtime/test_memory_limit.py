import pytest

from autoencoders.runtime import memory


def test_the_memory_is_that_of_the_container_where_it_has_a_limit(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMIT", limit)
    whole = memory.machine_memory()  # no container
    assert whole > 10**8
    for text, expected in (("max\n", whole), ("1000000\n", 1_000_000), (f"{10**18}\n", whole)):
        limit.write_text(text)
        assert memory.machine_memory() == expected


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 MB"), (340_000_000, "340 MB"), (17_200_000_000, "17.2 GB"), (1_200_000_000_000, "1,200 GB")],
)
def test_sizes_are_in_megabytes_or_gigabytes(size, text):
    assert memory.size_text(size) == text
