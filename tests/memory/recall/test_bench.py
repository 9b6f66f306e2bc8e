"""`bench/recall.py` by language: what it counts, and what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


def person(language: str, told: list[str], asked: list[tuple[str, str, str]]) -> dict[str, Any]:
    """`asked` are kind, question and what it is about."""
    memories = [
        {"id": text, "text": text, "conversation": place, "said_at": f"2026-03-0{place + 1}T18:00:00+00:00"}
        for place, text in enumerate(told)
    ]
    questions = [{"kind": kind, "question": question, "evidence": [about]} for kind, question, about in asked]
    return {"id": language, "language": language, "memories": memories, "questions": questions}


GERMAN = ["Ich spiele Geige", "Die Miete steigt", "Mein Auto ist rot"]
CHINESE = ["我住在北京", "我喜欢喝茶"]
ENGLISH = ["I play chess"]
FOUND = [
    person("de", GERMAN, [("words", "welche Geige", GERMAN[0]), ("forms", "der Mietvertrag", GERMAN[1])]),
    person("zh", CHINESE, [("words", "北京", CHINESE[0]), ("words", "茶", CHINESE[1])]),
    person("en", ENGLISH, [("words", "draughts", ENGLISH[0])]),
]


def bench(tmp_path: Path, persons: Any) -> tuple[int, str]:
    path = tmp_path / "languages.json"
    path.write_text(json.dumps({"persons": persons}))
    done = subprocess.run(
        [sys.executable, "bench/recall.py", "--languages", str(path), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_each_kind_and_language_has_its_recall_and_all_are_those_but_english(tmp_path: Path) -> None:
    status, told = bench(tmp_path, FOUND)
    result = json.loads(told.splitlines()[-1])
    assert status == 0
    assert result["recall"] == {
        "words": {"de": [100, 100], "zh": [100, 100], "en": [0, 0], "all": [100, 100]},
        "forms": {"de": [100, 100], "all": [100, 100]},
    }
    assert result["n"] == 5
    assert result["p95_ms"] > 0


def test_what_is_not_found_does_not_hold(tmp_path: Path) -> None:
    missed = person("de", GERMAN, [("words", "Geige", GERMAN[2]), ("words", "Miete", GERMAN[1])])
    status, told = bench(tmp_path, [missed])
    assert status == 1
    assert json.loads(told)["recall"] == {"words": {"de": [50, 50], "all": [50, 50]}}


def test_a_file_that_holds_something_else_is_a_wrong_question(tmp_path: Path) -> None:
    assert bench(tmp_path, [{"language": "de"}]) == (2, "")
    assert bench(tmp_path, []) == (2, "")
