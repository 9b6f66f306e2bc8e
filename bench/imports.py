"""What our code adds to the start of a worker: CPU time and memory of importing it, beside the same without us.

python bench/imports.py [--runs 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

_MEASURE = """
import json, resource, sys, time
{imports}
usage = resource.getrusage(resource.RUSAGE_SELF)
unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB here
print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6]))
"""
_WITHOUT_US = "import livekit.agents, livekit.plugins.openai, livekit.plugins.silero"
_WITH_US = "import agent"


def measure(imports: str) -> tuple[float, float]:
    """CPU seconds and peak resident megabytes of a fresh interpreter that runs the import."""
    program = [sys.executable, "-c", _MEASURE.format(imports=imports)]
    done = subprocess.run(program, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="fresh interpreters per side (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    # in turns, so that a machine that grows busy slows both sides
    pairs = [(measure(_WITHOUT_US), measure(_WITH_US)) for _ in range(arguments.runs)]
    without, ours = (
        [statistics.median(column) for column in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
    )
    result = {
        "runs": arguments.runs,
        "cpu_s": {"without": round(without[0], 3), "with": round(ours[0], 3), "ratio": round(ours[0] / without[0], 3)},
        "rss_mb": {"without": round(without[1], 1), "with": round(ours[1], 1), "ratio": round(ours[1] / without[1], 3)},
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"import of the worker, median of {arguments.runs} interpreters")
    for name, row in (("CPU, s", result["cpu_s"]), ("memory, MB", result["rss_mb"])):
        print(f"  {name:<12} without us {row['without']:>8}   with us {row['with']:>8}   ratio {row['ratio']}")


if __name__ == "__main__":
    main()
