"""What docs/ tell to type, typed."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_default_folder_of_images_can_be_given_to_dvc_as_the_docs_say(tmp_path):
    for name in (".gitignore", "images/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "images" / "1.png").write_text("")
    before = "git init -q; git config user.email a@b; git config user.name a; dvc init -q; git add .; git commit -qm x"
    text = (ROOT / "docs" / "data.md").read_text()
    [told] = re.findall(r"```\n(git rm -r --cached images .*?)```", text, re.DOTALL)
    for commands in (before, told):
        subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "images.dvc" in tracked
    assert not [name for name in tracked if name.startswith("images/")]
    assert subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True).stdout == ""
