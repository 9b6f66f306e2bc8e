"""`bench/rules.py`: what it samples, what it counts, and what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


def bench(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "bench/rules.py", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


def test_it_counts_what_names_a_fact_among_turns_about_the_speaker(tmp_path: Path) -> None:
    turns = ["I live in Rome.", "My dentist is Dr. Smith.", "Is that so?", "Pretend I live in Oslo."]
    path = tmp_path / "talk.json"
    path.write_text(json.dumps([{"conversation": {"session_1": [{"text": text} for text in turns]}}]))
    status, found = bench("--locomo", str(path), "--sample", "3")
    assert status == 0
    assert found == {
        "n": 3,
        "named": [{"key": "home_city", "value": "I live in Rome.", "turn": "I live in Rome."}],
        "cut": [],
        "held": True,
    }


def test_without_a_file_nothing_is_measured_and_another_file_is_the_wrong_question(tmp_path: Path) -> None:
    assert bench() == (0, {"skipped": "no file of conversations"})
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert bench("--locomo", str(path))[0] == 2
    assert bench("--locomo", str(tmp_path / "none"))[0] == 2
