"""Who does this code work for? Asked in every place of one real job on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.worker import HASTY_UNHEARD, Worker

PROBE = Path(__file__).parent / "probe" / "probe_agent.py"

Fresh = Callable[[str], str]


async def test_every_place_of_a_real_job_works_for_its_person(
    livekit_server: LiveKitServer, models: Models, tmp_path: Path, fresh: Fresh, speech: Path
) -> None:
    room = fresh("kitchen")
    home, log = tmp_path / "home", tmp_path / "worker.log"
    with Worker(livekit_server, models.base_url, home, log, environment=HASTY_UNHEARD, agent=PROBE) as worker:
        async with Person(livekit_server, fresh("alice"), room, agent="probe") as alice:
            await alice.answer()
            await alice.say(speech / "blue.rms.wav")
            await alice.answer()
            await alice.type("please remember that my badge is 7")
            await alice.answer()
            async with Person(livekit_server, fresh("carol"), room, agent=None) as carol:
                agent = await carol.meet()
                assert await carol.call("probe") == "done"
                await carol.type("anything", topic="probe")
                await carol.room.local_participant.publish_data(b"anything")
                await worker.logs("[PROBE] text stream handler")
                await worker.logs("[PROBE] room.on(data_received)")
                await worker.logs("[PROBE] participant entrypoint of carol")
            await worker.logs("[PROBE] room.on(participant_disconnected)")
            assert agent.identity == alice.agents[0].identity
        await worker.logs("[PROBE] shutdown callback")

    said = [line["message"].removeprefix("[PROBE] ") for line in worker.logged("[PROBE]")]
    answers = {place: who for place, _, who in (each.rpartition(": ") for each in said)}
    assert answers.pop("prewarm") == "nobody"
    # the job is bound, and closed when its end has been asked for
    assert answers.pop("shutdown callback") in (alice.identity, "nobody")
    # it may run before the person is bound; it never runs for the visitor
    assert answers.pop(f"participant entrypoint of {alice.identity}") in (alice.identity, "nobody")
    assert {
        "on_enter",
        "on_user_turn_completed",
        "llm_node of 'my favorite color is blue'",
        "llm_node of 'please remember that my badge is 7'",
        "tool",
        f"participant entrypoint of {carol.identity}",
        "room.on(participant_connected)",
        "room.on(data_received)",
        "RPC handler",
        "text stream handler",
        "on_session_end",
    } <= set(answers)
    assert set(answers.values()) == {alice.identity}
