"""What operators see in numbers, of the shipped worker with real jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from tests.conftest import ROOT
from tests.room.edge import Edge
from tests.room.product import Product
from tests.room.worker import until, working


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_call_is_counted_from_its_start_to_its_end(product: Product, server: Edge) -> None:
    before = {
        name: counted(name, **labels)
        for name, labels in (
            ("rapport_sessions_started_total", {"how": "new"}),
            ("rapport_sessions_ended_total", {"reason": "left"}),
            ("rapport_bindings_refused_total", {"why": "input"}),
            ("rapport_recall_seconds_count", {}),
            ("rapport_store_seconds_count", {"call": "start_session"}),
        )
    }
    room = server.room("counted")
    room.join("alice@example.com")
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.text("eve@example.com", "I live in Hell.")
        await product.chat(room, "alice@example.com", "I live in Oslo.")
        await until(lambda: counted("rapport_bindings_refused_total", why="input"), "eve to be refused")
        room.close()
        await worker.idle()
    assert counted("rapport_sessions_started_total", how="new") == before["rapport_sessions_started_total"] + 1
    assert counted("rapport_sessions_ended_total", reason="left") == before["rapport_sessions_ended_total"] + 1
    assert counted("rapport_bindings_refused_total", why="input") == before["rapport_bindings_refused_total"] + 1
    assert counted("rapport_recall_seconds_count") == before["rapport_recall_seconds_count"] + 2
    assert counted("rapport_store_seconds_count", call="start_session") > before["rapport_store_seconds_count"]
    assert counted("rapport_writes_waiting") == 0


def test_the_counters_of_the_main_process_outlive_the_emptying_of_their_directory(tmp_path: Path) -> None:
    """As the framework does it: after the worker was imported, before it does anything."""
    numbers = tmp_path / "numbers"
    program = (
        "import metrics, pathlib, prometheus_client, prometheus_client.multiprocess as several\n"
        f"for file in pathlib.Path({str(numbers)!r}).iterdir(): file.unlink()\n"
        "metrics.SESSIONS_ENDED.labels('worker died').inc()\n"
        "registry = prometheus_client.CollectorRegistry()\n"
        "several.MultiProcessCollector(registry)\n"
        "print(prometheus_client.generate_latest(registry).decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(numbers)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert 'rapport_sessions_ended_total{reason="worker died"} 1.0' in done.stdout


def test_no_number_carries_who_somebody_is() -> None:
    labels = {
        name
        for metric in REGISTRY.collect()
        for s in metric.samples
        if s.name.startswith("rapport_")
        for name in s.labels
    }
    assert labels <= {"how", "reason", "what", "why", "call", "got", "le"}
