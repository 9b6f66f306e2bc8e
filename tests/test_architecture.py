"""Who may know whom, and how large a room may be.

Imports inside of functions count for who knows whom, and not for cycles: they are none when the program starts. What
only a type checker sees counts for neither.
"""

from __future__ import annotations

import ast
import graphlib
from collections import Counter
from collections.abc import Iterator

from tests.conftest import ROOT

RECORDS, RULES = "memory.records", "memory.records memory.language"
BELOW_MANAGER = f"{RULES} memory.recall memory.curation memory.embedding memory.stores memory.sessions"
MEMORY = f"{BELOW_MANAGER} memory.manager memory.settings memory.operate memory"
MAY_KNOW = {
    "environment": "",
    "identity": "",
    "metrics": "",
    "voice": "",
    "room": "identity",
    "apps": "identity",
    "memory.records": "",
    "memory.language": RECORDS,
    "memory.stores": RECORDS,
    "memory.recall": RULES,
    "memory.curation": f"{RULES} memory.recall",
    "memory.embedding": "memory.recall",
    "memory.sessions": f"{RULES} memory.recall memory.curation memory.embedding memory.stores",
    "memory.settings": f"{RECORDS} memory.stores memory.embedding",
    "memory.manager": f"identity {BELOW_MANAGER}",
    "memory.operate": f"identity {RECORDS} memory.stores memory.settings",
    "memory.__main__": f"identity {BELOW_MANAGER} memory.settings memory.operate",
    "memory": "memory.records memory.manager",
    "web": "identity memory apps",
    "call": f"identity metrics room voice apps {MEMORY}",
    "agent": f"environment identity metrics call room voice {MEMORY}",
    "offline": "",
    "terminal": "",
    "talk": "terminal",
}
OF_A_JOB = {"apps.toolset", "apps.client"}
"""What a job has of people's apps; the rest is the service's, and costs a job nothing."""
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for root in {name.partition(".")[0] for name in MAY_KNOW}
    for path in [*ROOT.glob(f"{root}.py"), *(ROOT / root).rglob("*.py")]
}


def imports(module: str, *, at_start: bool = False) -> Iterator[str]:
    """Our own modules that this one imports; `at_start`, those that it imports when it is imported itself."""
    waiting: list[ast.AST] = [ast.parse(SOURCES[module].read_text())]
    while waiting:
        node = waiting.pop()
        if at_start and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        waiting += ast.iter_child_nodes(node)
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names if alias.name in SOURCES)
            case ast.ImportFrom(module=str(source)):
                parts = [f"{source}.{alias.name}" for alias in node.names]
                yield from {part if part in SOURCES else source for part in parts} & SOURCES.keys()


def room_of(module: str) -> str:
    top, *rest = module.split(".")
    return ".".join([top, *rest[:1]]) if top == "memory" else top


def test_each_room_knows_only_whom_it_may() -> None:
    known = {(room_of(module), room_of(other)) for module in SOURCES for other in imports(module)}
    assert [pair for pair in sorted(known) if pair[1] not in {pair[0], *MAY_KNOW[pair[0]].split()}] == []


def test_a_job_knows_the_apps_by_their_toolset_alone() -> None:
    of_the_service = {module for module in SOURCES if module.startswith("apps.")} - OF_A_JOB
    in_a_job = {module for module in SOURCES if room_of(module) in ("call", "agent")} | OF_A_JOB
    assert [(module, other) for module in in_a_job for other in imports(module) if other in of_the_service] == []


def test_a_toy_app_costs_no_start_of_the_toy_voice() -> None:
    assert [module for module in SOURCES if "offline.tasks" in imports(module)] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: set(imports(module, at_start=True)) - {module} for module in SOURCES}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_no_file_and_no_folder_is_too_large() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in SOURCES.items()}
    assert {module: count for module, count in lines.items() if count > 500} == {}
    folders = Counter(path.parent for path in SOURCES.values() if path.name != "__init__.py")
    assert {str(folder): count for folder, count in folders.items() if count > 12} == {}
    assert sum(path.read_text().count("noqa: E402") for path in SOURCES.values()) <= 3
