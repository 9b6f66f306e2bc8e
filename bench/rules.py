"""What our English rules make of ordinary sentences that nobody wrote them for.

python bench/rules.py --locomo PATH    of 200 sentences, which name a fact, and which are cut in two

PATH is a file of conversations as bench/recall.py takes it. Of all turns that hold a word about the speaker (I, my, we,
our) 200 are sampled, the same each time. Each fact that one names is printed, for it would replace what was known: only
a person can judge whether it should. Held is that none is cut in two: that no statement stops where its sentence goes
on. With --json as one JSON object, the last line.

Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from memory.language.statements import Statement, statements_in

SAMPLE = 200
_SELF = re.compile(r"\b(?:I|I'm|I've|[Mm]y|[Ww]e|[Oo]ur)\b")
_SESSION = re.compile(r"session_\d+")
# A part that ends so has lost what follows; a turn that ends so was never finished.
_STUMP = re.compile(r"\b(?:a|an|the|my|our|is|are|and|or|but|because|St|Dr|Mr|Mrs|Ms|Jan|Feb|[ap]\.m)\W*$")


def sentences(path: Path, size: int) -> list[str]:
    """Turns of the file that speak of their speaker. Raises `OSError`, or `ValueError` for another kind of file."""
    try:
        conversations = [document["conversation"] for document in json.loads(path.read_text(encoding="utf-8"))]
        turns = [
            turn["text"] for talk in conversations for name in talk if _SESSION.fullmatch(name) for turn in talk[name]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not conversations of LoCoMo's shape") from error
    found = sorted({turn for turn in turns if _SELF.search(turn)})
    if len(found) < size:
        raise ValueError(f"{path}: only {len(found)} turns speak of their speaker")
    return random.Random(13).sample(found, size)  # noqa: S311 - it is to be the same each time


def measure(turns: list[str]) -> dict[str, Any]:
    """What names a fact, and what is cut."""
    stated = [(turn, statements_in(turn)) for turn in turns]
    keyed = [(turn, one) for turn, found in stated for one in found if one.key]
    cut = [turn for turn, found in stated if any(_is_stump(one, turn) for one in found)]
    return {
        "n": len(turns),
        "named": [{"key": one.key, "value": one.value, "turn": turn} for turn, one in keyed],
        "cut": cut,
        "held": not cut,
    }


def _is_stump(statement: Statement, turn: str) -> bool:
    return bool(_STUMP.search(statement.value)) and not turn.rstrip().endswith(statement.value.rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locomo", type=Path, help="a file of conversations")
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.locomo is None:
        print("nothing was measured: --locomo takes a file of conversations", file=sys.stderr)
        print(json.dumps({"skipped": "no file of conversations"}))
        return 0
    try:
        result = measure(sentences(options.locomo, options.sample))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(f"{len(result['named'])} of {result['n']} name a fact, {len(result['cut'])} are cut in two")
        for one in result["named"]:
            print(f"  {one['key']}: {one['value']}")
        print(*result["cut"], sep="\n")
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
