"""What a console shows beside the conversation: what is remembered, recalled and forgotten."""

from __future__ import annotations

from livekit.agents import AgentSession, ConversationItemAddedEvent, llm

from memory.records import Memory
from memory.sessions.live import Action, Observer
from room.console import show_in_console


def show_memories(session: AgentSession[None]) -> Observer:
    """What to tell of the person's memories, so that the session's console shows it."""
    recalled: dict[tuple[str, str], Memory] = {}

    def show(action: Action, memory: Memory) -> None:
        payload = {"category": memory.category.value, "key": memory.key, "text": memory.value}
        show_in_console(session, {"event": "memory", "action": action, **payload})

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
