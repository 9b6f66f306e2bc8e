"""Several people in one room, and a call that fails to start: its person is not left alone for ever."""

from __future__ import annotations

import dataclasses
from typing import Any

from room.participant import RoomSettings
from tests.room.edge import EdgeRoom
from tests.room.product import Product
from tests.room.worker import until, working

ALICE = "alice@example.com"


class Failing:
    """A worker that talks to everyone, and in which so many starts of a call fail."""

    def __init__(self, product: Product, failures: int) -> None:
        self.failures = failures
        self._open_voice = product.services.open_voice
        product.set(room=RoomSettings.model_validate({"room_policy": "everyone", "reconnect_grace": 0}))
        product.services = dataclasses.replace(product.services, open_voice=self.open_voice, start_pause=0.01)

    def open_voice(self, *arguments: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no voice")
        return self._open_voice(*arguments)


async def test_a_call_that_fails_to_start_is_tried_again(product: Product, room: EdgeRoom) -> None:
    Failing(product, failures=1)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert product.memories(ALICE) == ["I live in Oslo."]


async def test_who_comes_back_after_calls_that_failed_is_greeted(product: Product, room: EdgeRoom) -> None:
    failing = Failing(product, failures=2)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: failing.failures == 0, "the tries to fail")
        room.leave(ALICE)
        room.join(ALICE)
        await product.greeted(room)
        room.close()
        await worker.idle()
    assert len(product.requests(room)) == 1
