"""A conversation from the greeting to the last thing remembered, typed or spoken."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from terminal.conversation import Conversation
from terminal.keyboard import Keyboard
from terminal.options import Options
from terminal.printer import Failure, Printer
from terminal.process import before
from terminal.sound import Microphone, Recording, save_recording
from terminal.transport import ConsoleTransport

if TYPE_CHECKING:
    from livekit.agents.voice.remote_session import RemoteSession

GREETING_SECONDS = 15.0  # an agent that does not greet costs this much once, and no more
ANSWER_SECONDS = 30.0  # without a word from the agent


async def talk_by_text(remote: RemoteSession, conversation: Conversation, keyboard: Keyboard, printer: Printer) -> None:
    """Send each line and wait for all of its answer."""
    # A typed line interrupts whoever speaks (remote_session.py `run_input`), so the greeting comes first.
    await conversation.until(conversation.greeted, GREETING_SECONDS)
    await remote.update_io(input_audio_enabled=False, output_audio_enabled=False)
    await conversation.settle()
    conversation.own_up()
    async for line in keyboard.lines():
        printer.show("user", line)
        try:
            await remote.run(line)
        except RuntimeError as error:
            printer.show("error", f"the agent could not answer: {error}")
        # A response overtakes the events before it, which queue for a writer task; the next response does not.
        await remote.get_session_state()
        await conversation.settle()
        conversation.own_up()


async def talk_by_voice(conversation: Conversation, microphone: Microphone, recordings: list[Recording]) -> None:
    """Speak each recording and listen to all of its answer.

    Raises:
        Failure: the agent did not hear or did not answer a recording.
    """
    spoken = [recording.at_wire_rate() for recording in recordings]
    await conversation.until(conversation.greeted, GREETING_SECONDS)  # a voice would interrupt it
    conversation.speaker.kept = bytearray()
    for recording, pcm in zip(recordings, spoken, strict=True):
        turns = conversation.user_turns
        await microphone.say(pcm)
        if not await conversation.until(lambda: conversation.user_turns > turns, ANSWER_SECONDS):  # noqa: B023
            raise Failure(f"the agent heard no words in {recording.name} within {ANSWER_SECONDS:.0f} s")
        if not await conversation.until(conversation.answered, ANSWER_SECONDS):
            raise Failure(f"the agent did not answer {recording.name} within {ANSWER_SECONDS:.0f} s")


async def talk(transport: ConsoleTransport, options: Options, printer: Printer) -> None:
    """One conversation, from the greeting to the last thing remembered.

    Raises:
        Failure: the agent did not hear or did not answer.
    """
    from livekit.agents.voice.remote_session import RemoteSession  # noqa: PLC0415  (`meet` imported it)

    remote = RemoteSession(transport)
    conversation = Conversation(transport, printer, spoken=bool(options.say))
    microphone = Microphone(transport.send_audio)
    background = [asyncio.create_task(conversation.speaker.run())]
    try:
        await remote.start()
        await remote.wait_for_ready(timeout=GREETING_SECONDS)
        if options.say:
            background.append(asyncio.create_task(microphone.run()))
            talking = talk_by_voice(conversation, microphone, options.say)
        else:
            keyboard = Keyboard(prompt_on_stdout=sys.stdout.isatty() and not options.json)
            talking = talk_by_text(remote, conversation, keyboard, printer)
        await before(transport.over, talking)
        await conversation.settle(0.8)  # longer than between two lines: what comes later is not seen
        conversation.own_up()
    except TimeoutError as error:
        raise Failure("the agent does not answer any more") from error
    finally:
        for task in background:
            task.cancel()
        await remote.aclose()
        if options.save and conversation.speaker.kept:
            save_recording(options.save, bytes(conversation.speaker.kept))
