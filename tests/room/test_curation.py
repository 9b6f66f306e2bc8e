"""The shipped worker has what people say put in order by its model, and tells what that cost."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from memory.settings import MemorySettings
from tests.room.edge import Edge
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.test_metrics import counted
from tests.room.worker import until, working

ALICE = "alice@example.com"
MOVED = "Ich bin nach Porto gezogen"
TALK = ["Ich mag Feigen", "Mein Bruder spielt Geige", MOVED, "Im Sommer gehe ich segeln"]
ORDERLY = {"id": "s3", "facts": [{"key": "home_city", "category": "FACT", "quote": "nach Porto gezogen"}]}
ANSWER = json.dumps({"statements": [{**ORDERLY, "ends": [], "worth": "keep"}]})


def reports(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    told = (record.getMessage().partition("[SESSION REPORT] ")[2] for record in caplog.records)
    return [json.loads(text) for text in told if text]


@pytest.mark.parametrize(("how", "curated"), [("auto", True), ("llm", True), ("rules", False)])
async def test_what_a_call_told_is_in_order_in_the_next(
    product: Product, server: Edge, caplog: pytest.LogCaptureFixture, how: str, curated: bool
) -> None:
    caplog.set_level(logging.INFO)
    product.set(memory=MemorySettings(memory_extraction=how, resume_window=0))  # type: ignore[arg-type]
    product.curator = lambda _: ANSWER
    before = counted("rapport_curation_requests_total", how="believed")
    first, second = server.room(f"first {how}"), server.room(f"second {how}")
    async with working(product.server) as worker:
        await product.call(worker, first, ALICE, *TALK)
        await until(lambda: all(product.endings(ALICE)), "the call to end")
        await worker.idle()
        await product.call(worker, second, ALICE, "hello again")
        await worker.idle()
    known = next(request for request in product.requests(second) if request.words == "hello again").everything
    assert ("FACT home_city: nach Porto gezogen" in known) is curated
    assert MOVED in known
    told = reports(caplog)[0]["curation"]
    if curated:
        assert (told["requests"], told["refused"], told["facts"], told["statements"]) == (1, 0, 1, 4)
    else:
        assert told is None
    assert counted("rapport_curation_requests_total", how="believed") == before + curated


async def test_a_person_has_something_brought_back(product: Product, server: Edge) -> None:
    def mind(request: Request) -> str | Call:
        if request.words == "no, that still holds" and not request.tool_has_answered:
            return Call("still_holds", {"what": "home_city"})
        return "Right."

    product.mind = mind
    product.set(memory=MemorySettings(memory_extraction="rules"))
    room = server.room("still")
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Rome")
        await product.chat(room, ALICE, "I live in Porto")
        await product.chat(room, ALICE, "no, that still holds")
        await until(lambda: "I live in Rome" in product.memories(ALICE), "Rome to be back")
        room.close()
        await worker.idle()
    assert product.memories(ALICE)[-1] == "I live in Rome"
    assert "I live in Porto" not in product.memories(ALICE)
    assert "It holds again" in product.requests(room)[-1].everything
