"""Who may listen to which of the agent's voices."""

from __future__ import annotations

import asyncio

from livekit import rtc

from room.participant import Caller, is_taken
from room.tasks import Tasks

# How often, and how long apart, the server is told after a change.
_ROUNDS = 3
_SECONDS = 0.2


def is_open_to(room: rtc.Room, caller: Caller) -> bool:
    """Whether what is sent to the person's identity now reaches them and nobody else.

    Who has a token of their own is expected back, and hears from the first moment on. A telephone's number is no
    secret: while nobody is seen to be there, it may be anybody.
    """
    there = caller.identity in room.remote_participants
    return (there or caller.kind == "standard") and not is_taken(room, caller)


class Permissions:
    """Tells the server who may listen; until it is told, everybody may.

    Each call replaces the whole list, and of two in quick succession the first may arrive last: so the whole list is
    told some more times after each change.
    """

    def __init__(self, room: rtc.Room, *, alone: bool) -> None:
        """`alone`: there is one person, who may listen to whatever the agent publishes."""
        self._room = room
        self._alone = alone
        self._hearers: dict[str, Caller] = {}
        """By the name of the track."""
        self._told: list[rtc.ParticipantTrackPermission] | None = None
        self._rounds = 0
        self._tasks = Tasks()
        for event in ("local_track_published", "participant_connected", "participant_disconnected"):
            room.on(event, self._on_change)

    def reserve(self, track_name: str, caller: Caller) -> None:
        """Nobody but this person may listen to the track, which is not published yet."""
        self._hearers[track_name] = caller
        if self._told is None or self._alone:
            self._tell_once()

    def release(self, track_name: str) -> None:
        """Nobody may listen to the track any more."""
        self._hearers.pop(track_name, None)

    def tell(self) -> None:
        """Say it again."""
        running, self._rounds = self._rounds > 0, _ROUNDS
        if not running:
            self._tasks.spawn(self._tell())

    async def aclose(self) -> None:
        for event in ("local_track_published", "participant_connected", "participant_disconnected"):
            self._room.off(event, self._on_change)
        await self._tasks.cancel()

    def _on_change(self, *_: object) -> None:
        if self._told is not None and self._permissions() != self._told:
            self.tell()

    async def _tell(self) -> None:
        while self._rounds > 0:
            self._tell_once()
            await asyncio.sleep(_SECONDS)
            self._rounds -= 1

    def _tell_once(self) -> None:
        self._told = self._permissions()
        self._room.local_participant.set_track_subscription_permissions(
            allow_all_participants=False, participant_permissions=self._told
        )

    def _permissions(self) -> list[rtc.ParticipantTrackPermission]:
        published = self._room.local_participant.track_publications.values()
        permissions: list[rtc.ParticipantTrackPermission] = []
        for caller in dict.fromkeys(self._hearers.values()):
            if is_open_to(self._room, caller):
                own = [track.sid for track in published if self._hearers.get(track.name) == caller]
                permissions.append(
                    rtc.ParticipantTrackPermission(
                        participant_identity=caller.identity,
                        allow_all=self._alone,
                        allowed_track_sids=[] if self._alone else own,
                    )
                )
        return permissions
