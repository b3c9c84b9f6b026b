import subprocess
import sys

import pytest

from autoencoders.data.catalog import CATALOG, known_names, named_set
from autoencoders.errors import UserError


def test_every_promised_set_is_known():
    emnist = {f"emnist-{split}" for split in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")}
    assert {"mnist", "fashion-mnist", "kmnist", "cifar10", "svhn", "folder"} | emnist <= set(known_names())


def test_an_unknown_name_is_one_line_with_the_nearest():
    with pytest.raises(
        UserError, match=r"unknown data set 'fashion_mnist'. Did you mean 'fashion-mnist'\? Known: mnist"
    ):
        named_set("fashion_mnist")


def test_the_catalog_is_light():
    code = "import sys, autoencoders.data.catalog; print({'torch', 'numpy', 'requests'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_mnist_alone_has_the_package_index():
    assert [name for name, entry in CATALOG.items() if entry.archive] == ["mnist"]
