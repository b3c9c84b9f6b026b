from pathlib import Path

from processes import run_python

from autoencoders.evaluation.measures import MEASURES

DOCS = Path(__file__).parents[2] / "docs" / "pipeline.md"
HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "mlflow")


def test_the_documentation_s_table_is_that_of_the_measures():
    """After a change to a measure, put the new lines there."""
    rows = [
        f"| `{measure.key}` | {measure.heading} | {measure.meaning} | {measure.unit or '–'} | {measure.better or '–'} |"
        for measure in MEASURES.values()
        if measure.source == "evaluate"
    ]
    table = "\n".join(["| key | name | meaning | unit | better |", "| --- | --- | --- | --- | --- |", *rows])
    assert f"\n\n{table}\n\n" in DOCS.read_text(encoding="utf-8"), table


def test_the_table_of_measures_imports_nothing_heavy():
    code = f"import sys, autoencoders.evaluation.measures; print(sorted(sys.modules.keys() & {set(HEAVY)}))"
    assert run_python(code).stdout == "[]\n"
