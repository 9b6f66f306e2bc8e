"""Memory that the next deployment would lose is said to be so: in each of these cases, and in none else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memory.settings import MemorySettings, why_temporary

HOME = "/data/rapport"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_WORKER_TOKEN", "LIVEKIT_REMOTE_EOT_URL", *map(str.upper, MemorySettings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def machine(folder: Path, *files: str, **mounts: str) -> Path:
    """With these files, and file systems at these mount points."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    table = [f"36 35 98:0 /some/where {at} rw,noatime shared:1 - {what} /dev/it rw" for at, what in mounts.items()]
    (folder / "proc/self").mkdir(parents=True, exist_ok=True)
    (folder / "proc/self/mountinfo").write_text("\n".join(table) + "\n")
    return folder


def why(root: Path, **settings: object) -> str:
    return why_temporary(MemorySettings.model_validate({"rapport_home": HOME, **settings}), root) or ""


@pytest.mark.parametrize("variable", ["LIVEKIT_WORKER_TOKEN", "LIVEKIT_REMOTE_EOT_URL"])
def test_where_livekit_cloud_runs_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "set by LiveKit Cloud")
    root = machine(tmp_path, **{"/": "ext4", "/data": "ext4"})
    assert re.match("LiveKit Cloud .* SUPABASE_URL, or EPHEMERAL_MEMORY=yes", why(root))
    assert why(root, supabase_url="https://x.supabase.co") == why(root, ephemeral_memory=True) == ""


CONTAINERS = [((".dockerenv",), "ext4"), (("run/.containerenv",), "ext4"), ((), "overlay")]


@pytest.mark.parametrize(("files", "root"), CONTAINERS)
def test_in_a_container_whose_memory_is_on_no_mount(tmp_path: Path, files: tuple[str, ...], root: str) -> None:
    contained = machine(tmp_path, *files, **{"/": root, "/proc": "proc", "/database": "ext4", "/data/rapport2": "ext4"})
    assert f"RAPPORT_HOME ({HOME}) is on none of its mounts" in why(contained)
    assert why(contained, supabase_url="https://x.supabase.co") == why(contained, ephemeral_memory=True) == ""
    assert why(contained, rapport_home="/database/in/it") == ""


@pytest.mark.parametrize("mount", [HOME, "/data"])
@pytest.mark.parametrize(("files", "root"), CONTAINERS)
def test_not_where_a_volume_is_mounted(tmp_path: Path, files: tuple[str, ...], root: str, mount: str) -> None:
    assert why(machine(tmp_path, *files, **{"/": root, mount: "ext4"})) == ""


def test_not_on_a_machine_of_ones_own(tmp_path: Path) -> None:
    assert why(machine(tmp_path, **{"/": "ext4"})) == ""
    assert why(tmp_path / "one without such a table") == ""


def test_a_mount_point_with_a_blank_is_one(tmp_path: Path) -> None:
    root = machine(tmp_path, **{"/": "overlay", "/my\\040data": "ext4"})
    assert why(root, rapport_home="/my data/rapport") == ""
    assert why(root, rapport_home="/other data/rapport")
