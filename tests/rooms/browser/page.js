// A front end as small as it can be, on LiveKit's own client: it joins, has a microphone, plays the agent, and shows
// what both sides say. What happens is told to the test through `tell`.

const { Room, RoomEvent, Track, ParticipantKind } = LivekitClient;

const LOUD = 0.01; // peak; a silent WebRTC track is below 0.001
const room = new Room({ publishDefaults: { stopMicTrackOnMute: true } });
const happened = (event, details = {}) => tell(JSON.stringify({ event, ...details }));

// --- the dialogue, as front ends show it: one line a segment, and nothing whose track is not that of its speaker

const dialogue = document.querySelector('ol');

const microphoneOf = (identity) =>
  [room.localParticipant, ...room.remoteParticipants.values()]
    .find((who) => who.identity === identity)
    ?.getTrackPublication(Track.Source.Microphone)?.trackSid;

room.registerTextStreamHandler('lk.transcription', async (reader, { identity }) => {
  const { 'lk.segment_id': segment, 'lk.transcribed_track_id': track } = reader.info.attributes;
  if (!segment || !track || track !== microphoneOf(identity)) {
    happened('not shown', { of: identity, attributes: reader.info.attributes });
    return;
  }
  let line = document.getElementById(segment);
  if (!line) {
    line = dialogue.appendChild(document.createElement('li'));
    line.id = segment;
    line.className = identity === room.localParticipant.identity ? 'me' : 'agent';
  }
  line.textContent = '';
  for await (const piece of reader) line.textContent += piece;
  line.dataset.final = reader.info.attributes['lk.transcription_final'];
  happened('shown', { lines: lines() });
});

const lines = () =>
  [...dialogue.children].map((line) => ({
    who: line.className,
    segment: line.id,
    text: line.textContent,
    final: line.dataset.final === 'true',
  }));

// --- the agent

const audio = new AudioContext({ sampleRate: 16000 });
let heard = [];
let quiet = true;
let loudUntil = 0;

room.on(RoomEvent.TrackSubscribed, (track, publication, who) => {
  if (track.kind !== Track.Kind.Audio) return;
  document.body.appendChild(track.attach()); // without an element, Chromium decodes nothing
  const source = audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack]));
  listen(source, (samples) => {
    heard.push(samples);
    if (samples.some((sample) => Math.abs(sample) > LOUD)) loudUntil = audio.currentTime;
    const silent = audio.currentTime - loudUntil > 0.4;
    if (silent !== quiet) happened(silent ? 'quiet' : 'sound');
    quiet = silent;
  });
  happened('hears', { who: who.identity, agent: who.kind === ParticipantKind.AGENT, source: publication.source });
});

room.on(RoomEvent.ParticipantAttributesChanged, (changed, who) => {
  if (changed['lk.agent.state']) happened('state', { state: changed['lk.agent.state'], of: who.identity });
});

room.on(RoomEvent.Disconnected, (reason) => happened('disconnected', { reason }));

function listen(source, take) {
  const ear = audio.createScriptProcessor(1024, 1, 1);
  ear.onaudioprocess = ({ inputBuffer }) => take(inputBuffer.getChannelData(0).slice());
  source.connect(ear).connect(audio.destination);
}

// --- what the test asks for

const join = (url, token) => room.connect(url, token);

// The microphone opens, and so the recording in its place begins.
async function speak() {
  await room.localParticipant.setMicrophoneEnabled(false);
  await room.localParticipant.setMicrophoneEnabled(true);
}

// As LiveKit's starter apps do it: the microphone is open, and recorded, before there is a room. Joins when the first
// words are out.
async function speakEarlyAndJoin(url, token) {
  room.options.publishDefaults.preConnectBuffer = true; // as an argument of the next call it is not looked at (2.23.0)
  const published = room.localParticipant.setMicrophoneEnabled(true);
  await wordsAreOut();
  await room.connect(url, token);
  await published;
}

async function wordsAreOut() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  let loud = 0;
  await new Promise((out) =>
    listen(audio.createMediaStreamSource(stream), (samples) => {
      if (samples.some((sample) => Math.abs(sample) > LOUD)) loud = audio.currentTime;
      else if (loud && audio.currentTime - loud > 0.5) out();
    }),
  );
  stream.getTracks().forEach((track) => track.stop());
}

// All that was heard of the agent since the last time, as 16 bit samples in base64.
function takeHeard() {
  const samples = Int16Array.from(heard.flatMap((part) => [...part]), (sample) => 32767 * sample);
  heard = [];
  return btoa(Array.from(new Uint8Array(samples.buffer), (byte) => String.fromCharCode(byte)).join(''));
}

const leave = () => room.disconnect();
