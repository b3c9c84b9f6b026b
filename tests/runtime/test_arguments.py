"""The line that a mistake on a command line gets."""

import pytest

from autoencoders.errors import UserError
from autoencoders.runtime.arguments import ArgumentParser

URI = "models:/mnist-autoencoders@best-vae"


@pytest.fixture
def parser() -> ArgumentParser:
    top = ArgumentParser(prog="tool")
    top.add_argument("-q", action="store_true")
    draw = top.add_subparsers(dest="command", required=True).add_parser("draw", description=f"Draw {'x' * 40} {URI}.")
    draw.add_argument("image")
    draw.add_argument("--model", required=True, help=f"a folder, or a URI of MLflow's registry, such as {URI}")
    draw.add_argument("--data", choices=("old", "new"))
    draw.add_argument("-S", type=float)
    return top


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("drow a", "there is no command 'drow'. Did you mean 'draw'? See `tool --help`."),
        ("-q zzz", "there is no command 'zzz'. See `tool --help`."),
        ("-x draw", "there is no option '-x'. See `tool --help`."),
        ("", "the following arguments are required: command. See `tool --help`."),
        ("draw --modle=m", "there is no option '--modle'. Did you mean '--model'? See `tool draw --help`."),
        ("draw -model m", "there is no option '-model'. Did you mean '--model'? See `tool draw --help`."),
        ("draw a --mod", "argument --model: expected one argument. See `tool draw --help`."),
        ("draw", "the following arguments are required: image, --model. See `tool draw --help`."),
        ("draw a b --model m", "unexpected: b. See `tool draw --help`."),
        ("draw a --model m -Sx", "argument -S: invalid float value: 'x'. See `tool draw --help`."),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_the_help(parser, given, said, capsys):
    with pytest.raises(UserError) as caught:
        parser.parse_args(given.split())
    assert (str(caught.value), *capsys.readouterr()) == (said, "", "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["-q", "draw", "a", "--mod", "m"], {"q": True, "image": "a", "model": "m"}),
        (["draw", "-", "--model=-m", "-S-1.5"], {"image": "-", "model": "-m", "S": -1.5}),
        (["draw", "-7", "--model", "- a b", "-S", "-1"], {"image": "-7", "model": "- a b", "S": -1.0}),
        (["draw", "--model", "m", "--", "--image"], {"image": "--image"}),
    ],
)
def test_what_only_looks_like_an_option_is_a_value(parser, given, expected):
    assert vars(parser.parse_args(given)).items() >= expected.items()


def test_the_help_breaks_no_uri(parser, capsys, monkeypatch):
    for columns in range(50, 90):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            parser.parse_args(["draw", "--help"])
        assert capsys.readouterr().out.count(URI) == 2
