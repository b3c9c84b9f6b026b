from pathlib import Path

from autoencoders.params.file import edit_yaml, read_yaml

ROOT = Path(__file__).parents[2]
TEXT = """\
# above
a:                         # a section
  b: 'x'                   # quoted
  c: null
  d: [1, 2]
"""


def test_what_is_not_changed_stays_as_it_was_to_the_byte():
    for text in (TEXT, (ROOT / "params.yaml").read_text(encoding="utf-8")):
        assert edit_yaml(text, {}) == text


def test_values_get_their_reasons_above_and_keep_the_comments_beside_them():
    edited = edit_yaml(TEXT, {"a.b": ("other", "one\ntwo"), "a.d": ([3, 4], ""), "e.f.g": (None, "new")})
    assert (
        edited
        == """\
# above
a:                         # a section
  # > one
  # > two
  b: 'other'               # quoted
  c: null
  d: [3, 4]
e:
  f:
    # > new
    g: null
"""
    )
    again = edit_yaml(edited, {"a.b": ("z", "three")})
    assert "# > three\n" in again
    assert again.count("# > ") == 1, "the reasons of an earlier edit are gone"
    assert read_yaml(again) == {"a": {"b": "z", "c": None, "d": [3, 4]}, "e": {"f": {"g": None}}}
