"""What is known of the person before the first word, and the greeting that follows from it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from livekit.agents import JobContext, llm

import metrics
from call.assistant import prompts
from call.services import Services
from identity import SessionUser
from memory.curation.summary import summary_block
from memory.records import Session
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from room.participant import thread_in

log = logging.getLogger("rapport")

# How many of the last turns a resumed conversation begins with.
RESUMED_TURNS = 12


@dataclass(frozen=True)
class Acquaintance:
    """`stored` is None where nothing can be remembered: an anonymous identity, a worker that would lose it, or a
    store that has not answered."""

    user: SessionUser
    stored: Session | None

    def relation(self, zone: tzinfo | None) -> str:
        """How the agent and the person know each other, for the instructions. It holds none of the person's words.
        None is the machine's own zone."""
        if self.stored is None and self.user.remembered:
            return "Your memory does not answer just now: if they ask you about something earlier, say so."
        if self.stored is None:
            return "Your memory is off in this call: if they ask you to remember something, say that you cannot."
        if self.stored.profile.is_first_login:
            return "You have not spoken with this person before."
        return f"You know this person since {self.stored.profile.created_at.astimezone(zone):%d %B %Y}."

    @property
    def history(self) -> llm.ChatContext:
        """What was said in this conversation before, or in short what the one before it was about: the person's
        words and the agent's, and nothing that only the model was told."""
        history = llm.ChatContext.empty()
        if self.stored and self.stored.summary and not self.stored.resumed:
            history.add_message(role="user", content=summary_block(self.stored.summary))
        for turn in self.stored.turns if self.stored else ():
            if not turn.text:  # it said only what was forgotten since
                continue
            history.add_message(
                id=turn.id,
                role=turn.role,
                content=turn.text,
                interrupted=turn.interrupted,
                created_at=turn.said_at.timestamp(),
            )
        return history

    async def greeting(self, services: Services, *, sees_history: bool = True) -> str:
        """The instructions to greet them: as a stranger exactly once in their life, as somebody known from then on.
        A model that does not see the `history` is not told to go on from there."""
        if self.stored is None:
            return prompts.NEUTRAL_GREETING
        if self.stored.resumed and self.stored.turns and sees_history:
            return prompts.RESUMED_GREETING
        if self.stored.profile.is_first_login and await _first_greeting_is_ours(services):
            return services.settings.character.first_greeting
        return services.settings.character.later_greeting


async def get_acquainted(
    services: Services, ctx: JobContext, user: SessionUser, remembering: SessionMemory
) -> Acquaintance:
    """Make sure of the profile, find or begin the conversation, and load what is remembered: one question to the
    store, under a deadline. A store that is silent costs the person their memory until it answers, never the call."""
    if not user.remembered:
        why = "anonymous identity" if services.remembers(ctx) else "temporary memory"
        log.info("[MEMORY OFF] %s, nothing will be stored for user: %s", why, user.uuid)
        metrics.MEMORY_OFF.labels(why.partition(" ")[0]).inc()
        return Acquaintance(user, None)
    try:
        stored = await remembering.start(
            thread=thread_in(ctx.job.metadata) or ctx.job.room.name,
            job=ctx.job.id,
            room=ctx.job.room.name,
            resume_within=timedelta(seconds=services.settings.memory.resume_window),
            turns=RESUMED_TURNS,
            email=email_in(user.login),
        )
    except (StoreError, ValueError) as error:
        log.error("[MEMORY OFF] %r; the call goes on without memory for user: %s", error, user.uuid)
        metrics.MEMORY_OFF.labels("store").inc()
        return Acquaintance(user, None)
    log.info("[SESSION INIT] ✓ Profile ready for user: %s", user.uuid)
    metrics.SESSIONS_STARTED.labels("resumed" if stored.resumed else "new").inc()
    return Acquaintance(user, stored)


def email_in(identity: str | None) -> str | None:
    """The identity, where it is an e-mail address."""
    return identity if identity and "@" in identity else None


async def _first_greeting_is_ours(services: Services) -> bool:
    """Two devices may join for the first time at once; the store gives the first greeting to one of them."""
    try:
        return await services.memory.complete_first_login()
    except StoreError as error:
        log.error("[MEMORY FAILED] %s", error)
        return False
