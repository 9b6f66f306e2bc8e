"""A LiveKit server in memory, put where the native library is.

Only `FfiClient` is replaced, which is the one door between `livekit.rtc` and its native library. Everything above it is
the framework's own code: `rtc.Room` and its listen task, RoomIO, text and byte streams, RPC, audio streams, JobContext,
AgentSession. A test plays the people in the room:

    with edge() as server:
        room = server.room("call-1")
        room.join("alice@example.com")                 # before the agent connects, or at any time after
        room.text("alice@example.com", "I live in Oslo.")
        room.speak("alice@example.com", frames)        # into her microphone

Jobs may run in threads of their own: everything here may be called from any thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import json
import os
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.rtc import _ffi_client as ffi
from livekit.rtc._proto import audio_frame_pb2, ffi_pb2, participant_pb2, track_pb2

STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

# Far above what the native library hands out, should a test before us have started it.
_FIRST_HANDLE = 1 << 40

# Writes to an open stream are answered by an event with another name than the request's.
_ANSWERED_BY = {
    "text_stream_write": "text_stream_writer_write",
    "text_stream_close": "text_stream_writer_close",
    "byte_stream_write": "byte_stream_writer_write",
    "byte_stream_close": "byte_stream_writer_close",
}


@dataclass
class Sent:
    """A text or byte stream, or a byte message, that the agent sent into the room."""

    topic: str
    to: list[str]
    """Whom it was sent to; everybody if empty."""
    content: str | bytes = ""
    sender: str = ""
    """In whose name: transcripts of a person's words carry that person's identity."""


@dataclass
class _Microphone:
    """A participant's audio track; what is spoken before the agent listens is kept until it does."""

    sid: str
    handle: int
    streams: list[int] = field(default_factory=list[int])
    unheard: list[rtc.AudioFrame] = field(default_factory=list[rtc.AudioFrame])


class EdgeRoom:
    """One room as its server sees it: who is there, and what the agent did. Methods play the other people."""

    def __init__(self, server: Edge, name: str) -> None:
        self.name = name
        self.sent: list[Sent] = []
        """Everything the agent sent, in order, finished streams and messages alike."""
        self.rpc_answers: dict[int, str] = {}
        """By call: the payload, or the error's message."""
        self.opens_links: set[str] = set()
        """Whose page answers when it is called; all others have no such method."""
        self.called: list[tuple[str, str, str]] = []
        """Whom the agent called, by which method, with what."""
        self.agent_attributes: dict[str, str] = {}
        self.may_listen: set[str] | None = None
        """Who may subscribe to the agent's voice; None for everybody, as the server has it unless told."""
        self.loses_a_permission = False
        """The agent's voice reaches nobody until it has been said twice who may listen."""
        self.unheard = ""
        """Its track, until then."""
        self.audio_captured = 0.0
        """Seconds of audio the agent has played."""
        self.closed = False
        """The agent has left."""
        self._server = server
        self._people: dict[str, participant_pb2.OwnedParticipant] = {}
        self._microphones: dict[str, _Microphone] = {}
        self._handle = 0
        self._agent = participant_pb2.OwnedParticipant()
        self._ready = False
        self._waiting: list[ffi_pb2.FfiEvent] = []

    @property
    def connected(self) -> bool:
        return self._ready and not self.closed

    @property
    def agent_state(self) -> str:
        """What the agent shows everybody: listening, thinking, speaking."""
        return self.agent_attributes.get("lk.agent.state", "")

    def texts(self, topic: str) -> list[str]:
        return [str(sent.content) for sent in list(self.sent) if sent.topic == topic]

    # -- what people do

    def join(
        self,
        identity: str,
        kind: rtc.ParticipantKind.ValueType = STANDARD,
        *,
        still_connecting: bool = False,
        attributes: Mapping[str, str] | None = None,
        details: Iterable[rtc.ParticipantKindDetail.ValueType] = (),
    ) -> None:
        """Come in. Who is `still_connecting` is listed already, and neither heard nor seen (a phone that rings);
        `details` are of their kind."""
        person = self._server.participant(identity, kind)
        person.info.kind_details.extend(details)
        person.info.attributes.update(attributes or {})
        person.info.state = participant_pb2.PARTICIPANT_STATE_JOINED
        if self._handle:
            event = self._event()
            event.room_event.participant_connected.info.CopyFrom(person)
            self._send(event)
        self._people[identity] = person
        if not still_connecting:
            person.info.state = participant_pb2.PARTICIPANT_STATE_ACTIVE
            if self._handle:
                event = self._event()
                event.room_event.participant_active.participant_identity = identity
                self._send(event)

    def leave(
        self, identity: str, reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED
    ) -> None:
        del self._people[identity]
        self._microphones.pop(identity, None)
        event = self._event()
        event.room_event.participant_disconnected.participant_identity = identity
        event.room_event.participant_disconnected.disconnect_reason = reason
        self._send(event)

    def text(self, identity: str, text: str, topic: str = "lk.chat") -> None:
        """Send a text stream, by default as a chat message."""
        handle = self._server.readable(text)
        event = self._event()
        opened = event.room_event.text_stream_opened
        opened.participant_identity = identity
        opened.reader.handle.id = handle
        opened.reader.info.stream_id = str(handle)
        opened.reader.info.topic = topic
        opened.reader.info.mime_type = "text/plain"
        opened.reader.info.timestamp = 0
        self._send(event)

    def message(self, identity: str, content: bytes, topic: str) -> int:
        """Send a byte stream; the number is for `was_read`."""
        handle = self._server.readable(content)
        event = self._event()
        opened = event.room_event.byte_stream_opened
        opened.participant_identity = identity
        opened.reader.handle.id = handle
        opened.reader.info.stream_id = str(handle)
        opened.reader.info.topic = topic
        opened.reader.info.timestamp = 0
        self._send(event)
        return handle

    def was_read(self, message: int) -> bool:
        """Whether anything in the job listens to the message's topic."""
        return message in self._server.read

    def attributes(self, identity: str, attributes: dict[str, str]) -> None:
        event = self._event()
        changed = event.room_event.participant_attributes_changed
        changed.participant_identity = identity
        for key, value in attributes.items():
            changed.attributes.add(key=key, value=value)
            changed.changed_attributes.add(key=key, value=value)
        self._send(event)

    def rpc(self, caller: str, method: str, payload: str) -> int:
        """Call the agent; the answer appears in `rpc_answers` under the number that is returned."""
        event = ffi_pb2.FfiEvent()
        call = event.rpc_method_invocation
        call.local_participant_handle = self._agent.handle.id
        call.invocation_id = self._server.number()
        call.method, call.payload = method, payload
        call.request_id, call.caller_identity = "request", caller
        call.response_timeout_ms = 5000
        self._send(event)
        return call.invocation_id

    def speak(self, identity: str, frames: Iterable[rtc.AudioFrame]) -> None:
        """Say something into the person's microphone; the first time publishes it."""
        microphone = self._microphones.get(identity) or self._publish_microphone(identity)
        for frame in frames:
            if microphone.streams:
                self._server.play(frame, microphone.streams)
            else:
                microphone.unheard.append(frame)

    def close(self) -> None:
        """Delete the room, which ends the agent's job."""
        self._state(rtc.ConnectionState.CONN_DISCONNECTED)
        event = self._event()
        event.room_event.disconnected.reason = rtc.DisconnectReason.ROOM_DELETED
        self._send(event)
        self._end()

    # -- what the agent asks for; called by the server

    def _connect(self, agent_identity: str, result: Any) -> None:
        self._handle = self._server.number()
        self._agent = self._server.participant(agent_identity, AGENT)
        result.room.handle.id = self._handle
        result.room.info.sid, result.room.info.name = f"RM_{self.name}", self.name
        result.local_participant.CopyFrom(self._agent)
        for person in reversed(self._people.values()):  # as the native library: in no order one may rely on
            result.participants.add().participant.CopyFrom(person)

    def _be_ready(self) -> None:
        self._ready = True
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._send(event)

    def _end(self) -> None:
        event = self._event()
        event.room_event.eos.SetInParent()
        self._send(event)
        self.closed = True

    def _listen(self, track: int, stream: int) -> None:
        for microphone in self._microphones.values():
            if microphone.handle == track:
                microphone.streams.append(stream)
                unheard, microphone.unheard = microphone.unheard, []
                for frame in unheard:
                    self._server.play(frame, [stream])

    def _stop_listening(self, stream: int) -> None:
        for microphone in self._microphones.values():
            if stream in microphone.streams:
                microphone.streams.remove(stream)

    # -- pieces

    def _publish_microphone(self, identity: str) -> _Microphone:
        sid = f"TR_{identity}"
        microphone = self._microphones[identity] = _Microphone(sid, self._server.number())
        event = self._event()
        event.room_event.track_published.participant_identity = identity
        publication = event.room_event.track_published.publication
        publication.handle.id = self._server.number()
        publication.info.sid, publication.info.name = sid, "microphone"
        publication.info.kind = track_pb2.KIND_AUDIO
        publication.info.source = track_pb2.SOURCE_MICROPHONE
        publication.info.remote = True
        self._send(event)
        event = self._event()
        event.room_event.track_subscribed.participant_identity = identity
        track = event.room_event.track_subscribed.track
        track.handle.id = microphone.handle
        track.info.sid, track.info.name, track.info.kind = sid, "microphone", track_pb2.KIND_AUDIO
        self._send(event)
        return microphone

    def _state(self, state: rtc.ConnectionState.ValueType) -> None:
        event = self._event()
        event.room_event.connection_state_changed.state = state
        self._send(event)

    def _event(self) -> ffi_pb2.FfiEvent:
        event = ffi_pb2.FfiEvent()
        event.room_event.room_handle = self._handle
        return event

    def _be_heard(self, track_sid: str) -> None:
        self.unheard = ""
        subscribed = self._event()
        subscribed.room_event.local_track_subscribed.track_sid = track_sid
        self._send(subscribed)

    def _send(self, event: ffi_pb2.FfiEvent) -> None:
        if self.closed:
            return
        if not self._ready:  # as the native library: nothing before the room is listening
            self._waiting.append(event)
            return
        self._server.queue.put(event)


class Edge:
    """Stands in for the one `FfiClient`: answers its requests and queues the events of all rooms."""

    def __init__(self) -> None:
        self.queue: ffi.FfiQueue[ffi_pb2.FfiEvent] = ffi.FfiQueue()
        self.read: set[int] = set()
        """The streams that were read; the others were thrown away, since nobody handles their topic."""
        self._rooms: dict[str, EdgeRoom] = {}
        self._numbers = itertools.count(_FIRST_HANDLE)
        self._arrivals = itertools.count(1_700_000_000_000)  # milliseconds since 1970, one apart
        self._lock = threading.RLock()
        self._readable: dict[int, str | bytes] = {}
        self.words_to_lose = 0
        """How many of the next writes to a text stream fail."""
        self._written: dict[int, Sent] = {}
        self._frames: dict[int, Any] = {}
        self._audio_streams: set[int] = set()
        # what FfiHandle and FfiClient look at besides
        self._pid = os.getpid()
        self._ffi_lib = SimpleNamespace(livekit_ffi_drop_handle=self._drop)

    def room(self, name: str) -> EdgeRoom:
        """The room of that name; a job that joins it before the test asked for it makes it too."""
        with self._lock:
            return self._rooms.setdefault(name, EdgeRoom(self, name))

    # -- FfiClient's side

    def request(self, request: ffi_pb2.FfiRequest) -> ffi_pb2.FfiResponse:
        name = request.WhichOneof("message")
        assert name
        asked, response, event = getattr(request, name), ffi_pb2.FfiResponse(), ffi_pb2.FfiEvent()
        answer = getattr(response, name)
        answer.SetInParent()
        result = getattr(event, _ANSWERED_BY.get(name, name), None)
        with self._lock:
            if handler := getattr(self, f"_on_{name}", None):
                handler(asked, answer, result)
            if result is not None and "async_id" in answer.DESCRIPTOR.fields_by_name:
                answer.async_id = result.async_id = self.number()
                self.queue.put(event)
            if name == "publish_track":
                self._after_publish(asked, result)
            elif name == "disconnect":
                self._room_of(asked.room_handle)._end()
        return response

    def _on_connect(self, asked: Any, answer: Any, event: Any) -> None:
        claims = json.loads(urlsafe_b64decode(asked.token.split(".")[1] + "=="))
        self.room(claims["video"]["room"])._connect(claims["sub"], event.result)

    def _on_ready_for_room_event(self, asked: Any, answer: Any, event: Any) -> None:
        self._room_of(asked.room_handle)._be_ready()

    def _on_set_local_attributes(self, asked: Any, answer: Any, event: Any) -> None:
        self._room_of_agent(asked).agent_attributes.update((entry.key, entry.value) for entry in asked.attributes)

    def _on_set_track_subscription_permissions(self, asked: Any, answer: Any, event: Any) -> None:
        allowed = {entry.participant_identity for entry in asked.permissions if entry.allow_all}
        room = self._room_of_agent(asked)
        room.may_listen = None if asked.all_participants_allowed else allowed
        if room.unheard:
            room._be_heard(room.unheard)

    def _on_perform_rpc(self, asked: Any, answer: Any, event: Any) -> None:
        room = self._room_of_agent(asked)
        room.called.append((asked.destination_identity, asked.method, asked.payload))
        if asked.destination_identity in room.opens_links:
            event.payload = "opened"
        else:
            event.error.code, event.error.message = 1400, "Method not supported at destination"

    def _on_rpc_method_invocation_response(self, asked: Any, answer: Any, event: Any) -> None:
        reply = asked.error.message if asked.HasField("error") else asked.payload
        self._room_of_agent(asked).rpc_answers[asked.invocation_id] = reply

    def _on_text_read_incremental(self, asked: Any, answer: Any, event: Any) -> None:
        self._be_read("text_stream_reader_event", asked.reader_handle)

    def _on_byte_read_incremental(self, asked: Any, answer: Any, event: Any) -> None:
        self._be_read("byte_stream_reader_event", asked.reader_handle)

    def _be_read(self, kind: str, handle: int) -> None:
        self.read.add(handle)
        chunk, end = ffi_pb2.FfiEvent(), ffi_pb2.FfiEvent()
        getattr(chunk, kind).reader_handle = getattr(end, kind).reader_handle = handle
        getattr(chunk, kind).chunk_received.content = self._readable.pop(handle)
        getattr(end, kind).eos.SetInParent()
        self.queue.put(chunk)
        self.queue.put(end)

    def _on_text_stream_open(self, asked: Any, answer: Any, event: Any) -> None:
        options = asked.options
        handle = event.writer.handle.id = self.number()
        event.writer.info.stream_id = options.id or str(handle)
        event.writer.info.topic, event.writer.info.mime_type = options.topic, "text/plain"
        event.writer.info.timestamp = 0
        sent = Sent(options.topic, list(options.destination_identities), sender=options.sender_identity)
        self._written[handle] = sent
        self._room_of_agent(asked).sent.append(sent)

    def _on_text_stream_write(self, asked: Any, answer: Any, event: Any) -> None:
        if self.words_to_lose:
            self.words_to_lose -= 1
            event.error.description = "unable to send packet"
        else:
            self._written[asked.writer_handle].content += asked.text

    def _on_send_text(self, asked: Any, answer: Any, event: Any) -> None:
        event.info.stream_id, event.info.topic = str(self.number()), asked.options.topic
        sent = Sent(asked.options.topic, list(asked.options.destination_identities), asked.text)
        self._room_of_agent(asked).sent.append(sent)

    def _on_send_bytes(self, asked: Any, answer: Any, event: Any) -> None:
        event.info.stream_id, event.info.topic = str(self.number()), asked.options.topic
        sent = Sent(asked.options.topic, list(asked.options.destination_identities), asked.bytes)
        self._room_of_agent(asked).sent.append(sent)

    def _on_publish_data(self, asked: Any, answer: Any, event: Any) -> None:
        self._room_of_agent(asked).sent.append(Sent(asked.topic, list(asked.destination_identities), b""))

    def _on_new_apm(self, asked: Any, answer: Any, event: Any) -> None:
        answer.apm.handle.id = self.number()

    def _on_new_sox_resampler(self, asked: Any, answer: Any, event: Any) -> None:
        answer.resampler.handle.id = self.number()

    def _on_new_audio_source(self, asked: Any, answer: Any, event: Any) -> None:
        answer.source.handle.id = self.number()

    def _on_create_audio_track(self, asked: Any, answer: Any, event: Any) -> None:
        answer.track.handle.id = self.number()
        answer.track.info.sid, answer.track.info.name = "", asked.name
        answer.track.info.kind = track_pb2.KIND_AUDIO

    def _on_publish_track(self, asked: Any, answer: Any, event: Any) -> None:
        event.publication.handle.id = self.number()
        event.publication.info.sid, event.publication.info.name = f"TR_agent_{self.number()}", "agent"
        event.publication.info.kind = track_pb2.KIND_AUDIO
        event.publication.info.source = track_pb2.SOURCE_MICROPHONE

    def _after_publish(self, asked: Any, event: Any) -> None:
        room = self._room_of_agent(asked)
        if room.loses_a_permission:
            room.unheard = event.publication.info.sid
        else:
            room._be_heard(event.publication.info.sid)

    def _on_capture_audio_frame(self, asked: Any, answer: Any, event: Any) -> None:
        # the request does not say which room its source plays in; tests look at one room's sound at a time
        seconds = asked.buffer.samples_per_channel / asked.buffer.sample_rate
        for room in self._rooms.values():
            room.audio_captured += seconds

    def _on_new_audio_stream(self, asked: Any, answer: Any, event: Any) -> None:
        stream = answer.stream.handle.id = self.number()
        self._audio_streams.add(stream)
        for room in self._rooms.values():
            room._listen(asked.track_handle, stream)

    def _drop(self, handle: ctypes.c_uint64) -> bool:
        with self._lock:
            dropped = handle.value
            self._frames.pop(dropped, None)
            self._readable.pop(dropped, None)
            if dropped in self._audio_streams:
                self._audio_streams.discard(dropped)
                for room in self._rooms.values():
                    room._stop_listening(dropped)
                event = ffi_pb2.FfiEvent()
                event.audio_stream_event.stream_handle = dropped
                event.audio_stream_event.eos.SetInParent()
                self.queue.put(event)
        return True

    # -- the rooms' side

    def number(self) -> int:
        return next(self._numbers)

    def participant(self, identity: str, kind: rtc.ParticipantKind.ValueType) -> participant_pb2.OwnedParticipant:
        person = participant_pb2.OwnedParticipant()
        person.handle.id = self.number()
        person.info.identity, person.info.sid, person.info.name = identity, f"PA_{person.handle.id}", identity
        person.info.kind = kind
        person.info.joined_at = next(self._arrivals)
        person.info.state = participant_pb2.PARTICIPANT_STATE_ACTIVE
        return person

    def readable(self, content: str | bytes) -> int:
        handle = self.number()
        self._readable[handle] = content
        return handle

    def play(self, frame: rtc.AudioFrame, streams: list[int]) -> None:
        for stream in list(streams):
            handle = self.number()
            samples = (ctypes.c_int16 * len(frame.data)).from_buffer_copy(bytes(frame.data.cast("B")))
            self._frames[handle] = samples  # the reader copies from this address, then drops the handle
            event = ffi_pb2.FfiEvent()
            event.audio_stream_event.stream_handle = stream
            owned: audio_frame_pb2.OwnedAudioFrameBuffer = event.audio_stream_event.frame_received.frame
            owned.handle.id = handle
            owned.info.data_ptr = ctypes.addressof(samples)
            owned.info.num_channels = frame.num_channels
            owned.info.sample_rate = frame.sample_rate
            owned.info.samples_per_channel = frame.samples_per_channel
            self.queue.put(event)

    def _room_of(self, handle: int) -> EdgeRoom:
        return next(room for room in self._rooms.values() if room._handle == handle)

    def _room_of_agent(self, asked: Any) -> EdgeRoom:
        handle = asked.local_participant_handle
        return next(room for room in self._rooms.values() if room._agent.handle.id == handle)


@contextlib.contextmanager
def edge() -> Iterator[Edge]:
    """Put an `Edge` where the native library is, and take it away again."""
    server = Edge()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ffi.FfiClient, "_instance", server)
        try:
            yield server
        finally:
            gc.collect()  # rooms ask for the client once more when they go; it must still be this one
            for handle in list(ffi._live_handles):
                if handle.handle >= _FIRST_HANDLE:
                    handle.mark_consumed()  # or the garbage collector would hand our numbers to the native library
