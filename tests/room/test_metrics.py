"""What operators see in numbers, of the shipped worker with real jobs."""

from __future__ import annotations

from prometheus_client import REGISTRY

import agent
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
    async with working(agent.server) as worker:
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


def test_no_number_carries_who_somebody_is() -> None:
    labels = {
        name
        for metric in REGISTRY.collect()
        for s in metric.samples
        if s.name.startswith("rapport_")
        for name in s.labels
    }
    assert labels <= {"how", "reason", "why", "call", "le"}
