"""What the README promises: its program runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_program_in_the_readme_runs_from_the_repositorys_root(tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(programs) == 1
    done = subprocess.run(
        [sys.executable, "-c", programs[0]],
        cwd=ROOT,
        env={**os.environ, "RAPPORT_HOME": str(tmp_path / "new")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["User isolation working!"], done.stderr


def test_whatever_we_tell_people_to_make_can_be_made() -> None:
    targets = {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}
    texts = [ROOT / "README.md", ROOT / "Makefile", *(path for path in ROOT.rglob("*.py") if ".venv" not in path.parts)]
    told = {(path.name, name) for path in texts for name in re.findall(r"`make (?:-s )?([a-z-]+)", path.read_text())}
    assert {(path, name) for path, name in told if name not in targets} == set()
