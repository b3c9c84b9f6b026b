import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from trees import replaced, rewritten

from autoencoders.commands.codes import read_codes, write_codes
from autoencoders.errors import UserError

Z = np.arange(6, dtype=np.float32).reshape(3, 2)
FILES = ["a.png", "ordner/ä b.png", "c.png"]


@pytest.fixture
def stored(tmp_path) -> Path:
    write_codes(tmp_path / "codes.npz", Z, FILES, "vae", "a" * 64)
    return tmp_path / "codes.npz"


def test_what_is_written_is_read(stored):
    found = read_codes(stored, "vae", "a" * 64)
    np.testing.assert_array_equal(found.z, Z)
    assert found.files == FILES


def test_equal_codes_make_equal_files_under_any_name(stored, tmp_path):
    write_codes(tmp_path / "without-suffix", Z, FILES, "vae", "a" * 64)
    assert (tmp_path / "without-suffix").read_bytes() == stored.read_bytes()


def test_codes_of_other_weights_are_refused(stored):
    message = r"codes.npz holds codes by other weights \(vae, aaaaaaaaaaaa…\) than those given \(ae, bbbbbbbbbbbb…\)"
    with pytest.raises(UserError, match=message):
        read_codes(stored, "ae", "b" * 64)


def an_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, Z)


@pytest.mark.parametrize(
    "damage",
    [
        an_array,
        replaced(os.mkfifo),
        lambda path: np.savez(path, z=Z),
        lambda path: np.savez(path, codes=np.array([{}], dtype=object)),
        lambda path: np.savez(path, codes=Z, files=np.array([b"a", b"b", b"c"]), model="vae", weights_sha256="a" * 64,
                              format=1),
        # a few bytes that would become gigabytes
        lambda path: np.savez_compressed(path, codes=np.zeros((10**6, 2), np.float32), files=np.array(FILES)),
        # the header of the codes says a billion of them
        rewritten(lambda content: content.replace(b"(3, 2), }         ", b"(3000000000, 2), }")),
        rewritten(lambda content: content.replace(Z.tobytes(), bytes([Z.tobytes()[0] ^ 1]) + Z.tobytes()[1:])),
        lambda path: write_codes(path, Z, FILES[:2], "vae", "a" * 64),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("codes"),
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: write_codes(path, Z.astype(np.float64), FILES, "vae", "a" * 64),
        lambda path: write_codes(path, Z[0], FILES[:2], "vae", "a" * 64),
    ],
)  # fmt: skip
def test_what_is_no_codes_file_is_refused_in_a_line(stored, damage):
    damage(stored)
    told = r"codes.npz is missing or damaged \(.*\)\. `autoencoders encode` writes such a file\.$"
    with pytest.raises(UserError, match=told) as caught:
        read_codes(stored, "vae", "a" * 64)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none.npz is missing or damaged \(No such file"):
        read_codes(tmp_path / "none.npz", "vae", "")
    with pytest.raises(UserError, match=r"is missing or damaged \(not a regular file"):
        read_codes(tmp_path, "vae", "")


def test_a_codes_file_changed_at_random_is_read_or_refused_in_a_line(stored):
    content, chance, read = stored.read_bytes(), random.Random(0), 0
    tracemalloc.start()
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 1, 4])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        stored.write_bytes(changed[: chance.choice([len(changed), chance.randrange(len(changed))])])
        try:
            found = read_codes(stored, "vae", "a" * 64)
            assert found.z.shape == (len(found.files), 2)
            read += 1
        except UserError as error:
            assert "codes.npz" in str(error)
            assert len(str(error).splitlines()) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < read < 200
    assert peak < 5e6
