from processes import run_python

from autoencoders.data.catalog import CATALOG


def test_every_promised_set_is_known():
    emnist = {f"emnist-{split}" for split in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")}
    assert {"mnist", "fashion-mnist", "kmnist", "cifar10", "svhn"} | emnist <= set(CATALOG)


def test_the_catalog_is_light():
    code = "import sys, autoencoders.data.catalog; print({'torch', 'numpy', 'requests'} & set(sys.modules))"
    answer = run_python(code)
    assert answer.stdout.strip() == "set()"


def test_mnist_alone_has_the_package_index():
    assert [name for name, entry in CATALOG.items() if entry.archive] == ["mnist"]
