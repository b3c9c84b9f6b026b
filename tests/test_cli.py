import argparse
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import run_python

import autoencoders
from autoencoders import cli
from autoencoders.commands import interpolate, sample
from autoencoders.runtime.progress import TrainingProgress, progress

ROOT = Path(__file__).parents[1]
STAGES, USES = cli.list_commands("stages"), cli.list_commands("commands")


def command(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "autoencoders", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_without_importing_torch(tmp_path):
    code = (
        "import sys; from autoencoders.cli import main\ntry: main(['--help'])\nfinally: print('torch' in sys.modules)"
    )
    done = run_python(code, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False"
    stages, uses = done.stdout.split("your own images, and trained models:")
    for group, text in ((STAGES, stages), (USES, uses)):
        for name, summary in group.items():
            assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["check", "download", "prepare", "compare"])
def test_what_computes_nothing_starts_without_torch_and_mlflow(name):
    code = f"import sys; from autoencoders.cli import find_command; find_command({name!r}); print(*sys.modules)"
    done = run_python(code)
    assert "autoencoders.cli" in done.stdout.split()
    assert not {"torch", "mlflow"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("trian --model vae", "there is no command 'trian'. Did you mean 'train'? See `autoencoders --help`."),
        ("x", "there is no command 'x'. See `autoencoders --help`."),
        (
            "encode digits --modle models/vae --out o.npz",
            "there is no option '--modle'. Did you mean '--model'? See `autoencoders encode --help`.",
        ),
        (
            "-q check --parms x",
            "there is no option '--parms'. Did you mean '--params'? See `autoencoders check --help`.",
        ),
    ],
)
def test_a_mistyped_name_is_one_line_with_the_nearest_one(given, said, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(given.split())
    assert (caught.value.code, *capsys.readouterr()) == (2, "", f"error: {said}\n")


def test_the_version_is_that_of_pyproject_toml(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert (caught.value.code, capsys.readouterr().out) == (0, f"autoencoders {version}\n")
    assert autoencoders.__version__ == version


def test_the_package_is_typed_for_those_who_import_it():
    assert (Path(autoencoders.__file__).parent / "py.typed").exists()
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert "py.typed" in tomllib.load(file)["tool"]["setuptools"]["package-data"]["autoencoders"]


def test_quiet_shows_no_progress(monkeypatch, capsys):
    def encode() -> None:
        """Do this."""
        for _ in progress(range(2), desc="work"):
            pass
        with TrainingProgress("vae", 2) as shown:
            shown.on_validation({"val/loss": 1.0})
        print("done")

    monkeypatch.setattr(cli, "find_command", lambda name: encode)
    monkeypatch.setattr("autoencoders.runtime.progress.EVERY", 0.0)
    for arguments, lines in ((["encode"], 3), (["encode", "-q"], 0), (["-q", "encode"], 0)):
        monkeypatch.setattr("autoencoders.runtime.progress._hidden", False)
        with pytest.raises(SystemExit):
            cli.main(arguments)
        printed = capsys.readouterr()
        assert (printed.out, len(printed.err.splitlines())) == ("done\n", lines)


@pytest.mark.parametrize("name", [*STAGES, *USES])
def test_no_help_is_about_exceptions(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    assert "UserError" not in capsys.readouterr().out


def test_a_user_s_mistake_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "params.yaml").write_text("modles: {}\n")
    done = command("train", "--model", "vae", "--data", "d", "--checkpoints", "c", "--out", "o", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "error: params.yaml: models: missing; modles: unknown key. Did you mean 'models'?" in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", [*STAGES, *USES])
def test_every_command_has_a_documented_function(name):
    function = cli.find_command(name)
    assert function.__name__ == name.replace("-", "_")
    assert function.__doc__
    assert ("params" in inspect.signature(function).parameters) == (name in STAGES)


def test_an_option_that_is_a_path_or_a_url_leaves_the_url_as_it_is(monkeypatch, capsys):
    def encode(*, out: Path | str) -> None:
        """Do this."""
        print(out)

    monkeypatch.setattr(cli, "find_command", lambda name: encode)
    for arguments in (["--out", "s3://bucket/prefix"], ["--help"]):
        with pytest.raises(SystemExit):
            cli.main(["encode", *arguments])
    printed = capsys.readouterr().out
    assert printed.startswith("s3://bucket/prefix\n")
    assert "--out PATH" in printed


def test_a_function_s_signature_is_its_command_line(monkeypatch, capsys):
    def encode(first: Path, rest: list[Path], *, model: str, n: int = 3, out: Path | None = None) -> None:
        """Do this with `first` and `model`.

        And that.
        """
        called.append((first, rest, model, n, out))

    called: list[tuple[object, ...]] = []
    monkeypatch.setattr(cli, "find_command", lambda name: encode)
    for arguments, code in (
        (["a", "b", "c", "--model", "m"], 0),
        (["a", "b", "--n", "5", "--model", "models:/m@best", "--out", "o"], 0),
        (["a", "--model", "m"], 2),
        (["a", "b"], 2),
        (["a", "b", "--model", "m", "--n", "many"], 2),
        (["--help"], 0),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(["encode", *arguments])
        assert caught.value.code == code
    assert called == [
        (Path("a"), [Path("b"), Path("c")], "m", 3, None),
        (Path("a"), [Path("b")], "models:/m@best", 5, Path("o")),
    ]
    told = " ".join(capsys.readouterr().out.split())
    assert "encode [-h] [-q] --model NAME [--n N] [--out PATH] FIRST REST [REST ...]" in told
    assert "Do this with `FIRST` and `--model`. And that." in told
    assert "--n N number of images, 1 to 100,000 (default: 3)" in told
    assert "--out PATH file for the codes, such as codes.npz, in place of an earlier one" in told


@pytest.mark.parametrize("name", [*STAGES, *USES])
def test_every_option_of_every_command_is_explained(name):
    parser = argparse.ArgumentParser(prog=name)
    cli._add_options(parser, name)
    taken = inspect.signature(cli.find_command(name)).parameters
    explained = {action.dest: action.help or "" for action in parser._actions}
    assert explained.keys() == {"help", *taken}
    for option, parameter in taken.items():
        words = explained[option].split()
        assert len(words) >= 3, f"{name} --{option}: add a line to {'USE' if name in USES else 'STAGE'}_OPTIONS"
        if parameter.annotation is not bool and parameter.default not in (inspect.Parameter.empty, None):
            assert words[-2:] == ["(default:", "%(default)s)"]
    parser.format_help()


def test_every_explanation_is_of_an_option():
    for commands, explained in ((STAGES, cli.STAGE_OPTIONS), (USES, cli.USE_OPTIONS)):
        taken = {name: set(inspect.signature(cli.find_command(name)).parameters) for name in commands}
        known = set().union(*taken.values()) | {f"{name} {option}" for name in commands for option in taken[name]}
        assert set(explained) <= known


def test_the_limits_in_the_help_are_those_of_the_commands():
    assert f"1 to {sample.MAX_IMAGES:,}" in cli.USE_OPTIONS["n"]
    assert f"2 to {interpolate.MAX_STEPS}" in cli.USE_OPTIONS["steps"]
