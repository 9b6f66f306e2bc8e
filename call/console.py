"""What a console is told beside the conversation: what is remembered, recalled and forgotten, where to connect an app,
and that it is over."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct
from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent, llm
from livekit.protocol.agent_pb.agent_session import DebugMessage

from memory.records import Memory
from memory.sessions.live import Action, Observer


def show_memories(session: AgentSession[None]) -> Observer:
    """What to tell of the person's memories, so that the session's console shows it.

    For console jobs only: it is the person's words, and in a room others may be listening.
    """
    recalled: dict[tuple[str, str], Memory] = {}

    def show(action: Action, memory: Memory) -> None:
        told = {"category": memory.category.value, "key": memory.key, "text": memory.value}
        _tell(session, event="memory", action=action, **told)

    def observe(action: Action, memory: Memory) -> None:
        if action == "recalled":
            # perhaps for a reply that nobody will hear, and once more after each tool: shown with the reply itself
            recalled[memory.category, memory.key] = memory
        else:
            show(action, memory)

    def on_item(event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "assistant":
            for memory in recalled.values():
                show("recalled", memory)
            recalled.clear()

    session.on("conversation_item_added", on_item)
    return observe


def show_link(session: AgentSession[None], app: str, url: str) -> None:
    """Where the person connects an app of theirs."""
    _tell(session, event="link", app=app, url=url)


def show_end(session: AgentSession[None]) -> None:
    """The agent has hung up."""
    _tell(session, event="end")


def _tell(session: AgentSession[None], **told: str) -> None:
    struct = Struct()
    struct.update(told)
    # AgentSession narrows emit() to its own events; debug messages travel beside them
    rtc.EventEmitter.emit(session, "debug_message", DebugMessage(payload=struct))
