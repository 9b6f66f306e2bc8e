"""Where an agent is missing: what follows from what a LiveKit server tells about one room, and nothing else.

All workers of a deployment count alike by it, also after a restart. Two that send an agent at once do no harm: the
younger one leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from livekit.agents.types import ATTRIBUTE_AGENT_NAME, ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.protocol.agent_dispatch import AgentDispatch
from livekit.protocol.models import ParticipantInfo

from identity import Kind, kind_among, pseudonym

FOR = "rapport.for"
"""The attribute by which an agent shows whose it is, where a room may have several."""
JOIN_SECONDS = 15.0
"""How long a job may take into its room. Measured: 6 s with ten people at once, 12 s where the worker has just started
on a busy machine."""
LISTED_SECONDS = 6.0
"""Until then a dispatch may have found its worker although no job is listed: a server asks for the names of all agents
for five seconds, and lists a job when that is over. Measured: 5.1 s, in the first room after a worker came."""

# The first agent of a room and two tries more: what kills three agents kills the fourth.
_MOST_AGENTS = 3


_KINDS: dict[int, Kind] = {
    ParticipantInfo.STANDARD: "standard",
    ParticipantInfo.SIP: "sip",
    ParticipantInfo.CONNECTOR: "connector",
}
_CONNECTORS: dict[int, Kind] = {
    ParticipantInfo.CONNECTOR_WHATSAPP: "whatsapp",
    ParticipantInfo.CONNECTOR_TWILIO: "twilio",
}


@dataclass(frozen=True, slots=True)
class Vacancy:
    """In a room with people, an agent that was sent for and is not there."""

    dispatch: AgentDispatch
    """The newest that asks for it; the next one repeats it."""
    sent: int
    """How many agents have been sent already."""
    lost: tuple[str, ...]
    """Older dispatches that found no worker. They stand for nothing any more."""

    @property
    def hopeless(self) -> bool:
        return self.sent >= _MOST_AGENTS


@dataclass(frozen=True)
class Rules:
    """Where an agent is missing.

    `agent_name` is ours; "" is the worker that joins every room by itself: the server lists a dispatch without a name
    for each of those. `kinds` are the people we talk to. `by_metadata`: the metadata of a dispatch says who its agent
    is for, so that in one room several agents of our name may be right; otherwise there is one.
    """

    agent_name: str
    kinds: Collection[Kind] = ("standard",)
    by_metadata: bool = False

    def settled(self, participants: Sequence[ParticipantInfo]) -> bool:
        """Whether the participants alone show that no agent is missing."""
        if not any(map(self._is_person, participants)):
            return True
        return not self.by_metadata and any(map(self._is_ours, participants))

    def vacancies(
        self,
        participants: Sequence[ParticipantInfo],
        dispatches: Sequence[AgentDispatch],
        now: float,
        over: Collection[str] = (),
    ) -> list[Vacancy]:
        """The agents that are missing in one room. `now` is the time in seconds, by the clock of the wall: where it
        is wrong, one agent more is sent, and leaves, or one is sent some seconds later. `over` are dispatches of
        jobs of which this worker knows that they have ended; the server may list them as running, for ever."""
        if self.settled(participants):
            return []
        purposes: dict[str, list[AgentDispatch]] = {}
        for dispatch in sorted(dispatches, key=lambda each: each.state.created_at):
            if dispatch.agent_name == self.agent_name:
                purposes.setdefault(self._purpose(dispatch.metadata), []).append(dispatch)
        return [
            _vacancy(group, over)
            for purpose, group in purposes.items()
            if not any(self._is_ours(who) and who.attributes.get(FOR, "") in ("", purpose) for who in participants)
            and not any(_is_coming(dispatch, now, over) for dispatch in group)
        ]

    def awaits(self, dispatches: Sequence[AgentDispatch], now: float, over: Collection[str] = ()) -> bool:
        """Whether any agent of ours may still be on its way there."""
        return any(each.agent_name == self.agent_name and _is_coming(each, now, over) for each in dispatches)

    def attributes(self, metadata: str) -> dict[str, str]:
        """What a job of this metadata shows of itself in the room: whose agent it is, where there may be several."""
        purpose = self._purpose(metadata)
        return {FOR: purpose} if purpose else {}

    def _purpose(self, metadata: str) -> str:
        return pseudonym(metadata) if self.by_metadata else ""

    def _is_person(self, who: ParticipantInfo) -> bool:
        # a hidden participant is invisible to agents too
        kind = _KINDS.get(who.kind)
        if kind == "connector":
            for detail in who.kind_details:
                kind = _CONNECTORS.get(detail, kind)
        talked_to = kind is not None and kind_among(kind, self.kinds) is not None
        return talked_to and not who.permission.hidden and who.state != ParticipantInfo.DISCONNECTED

    def _is_ours(self, who: ParticipantInfo) -> bool:
        return (
            who.kind == ParticipantInfo.AGENT
            and who.state != ParticipantInfo.DISCONNECTED
            and is_of(who.attributes, self.agent_name)
        )


def is_of(attributes: Mapping[str, str], agent_name: str) -> bool:
    # an avatar is the face of an agent, and carries no name
    return ATTRIBUTE_PUBLISH_ON_BEHALF not in attributes and attributes.get(ATTRIBUTE_AGENT_NAME, "") == agent_name


def _vacancy(group: Sequence[AgentDispatch], over: Collection[str]) -> Vacancy:
    """`group` asks for one agent, none of it is coming any more: what has no job and never had one, is lost."""
    lost = [dispatch.id for dispatch in group if not dispatch.state.jobs and dispatch.id not in over]
    # the newest stays, whatever became of it: a room whose last dispatch is deleted never gets an agent again
    return Vacancy(group[-1], len(group) - len(lost), tuple(each for each in lost if each != group[-1].id))


def _is_coming(dispatch: AgentDispatch, now: float, over: Collection[str]) -> bool:
    """Whether its agent may still be on its way."""
    if dispatch.id in over:
        return False
    if not dispatch.state.jobs:
        return _within(dispatch.state.created_at, LISTED_SECONDS, now)
    states = [job.state for job in dispatch.state.jobs]
    return any(not each.ended_at and _within(each.started_at, JOIN_SECONDS, now) for each in states)


def _within(nanoseconds: int, seconds: float, now: float) -> bool:
    return 0 <= now - nanoseconds / 1e9 < seconds
