"""Speech to text with pocketsphinx and the small English model inside its wheel.

A test instrument: it hears clean synthetic speech exactly and a person at a laptop microphone poorly.
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Samples per second the recogniser hears."""

Samples = NDArray[np.int16]

_STEP = RATE // 20
_SHORTEST = RATE // 10
_MEASURE = "measure"
_MEASURED_WORD = "a"
_MEASURE_GRAMMAR = f"#JSGF V1.0;\ngrammar measure;\npublic <measure> = {_MEASURED_WORD};\n"


class _Hypothesis(Protocol):
    hypstr: str


class _Decoder(Protocol):
    """The part of `pocketsphinx.Decoder` used here, the same in 5.0.4 and 5.1.1."""

    def current_search(self) -> str: ...
    def activate_search(self, name: str) -> None: ...
    def add_jsgf_string(self, name: str, grammar: str) -> None: ...
    def reinit_feat(self) -> None: ...
    def get_cmn(self, update: bool) -> str: ...
    def set_cmn(self, cmn: str) -> None: ...
    def start_utt(self) -> None: ...
    def process_raw(self, data: bytes, *, full_utt: bool = False) -> int: ...
    def end_utt(self) -> None: ...
    def hyp(self) -> _Hypothesis | None: ...


class Ear:
    """A pool of decoders, each used by one thread at a time.

    With `sentences` it hears only the words of these sentences, by a trigram model made of them. That is how a
    test checks what the agent said: the stock model does not understand espeak, a model of the expected replies
    does. It is no use for free speech, where it hears its own words into anything.

    Decoders are loaded when first needed (0.3 to 0.7 s and 43 MB each). Raises `ValueError` at that point if a
    sentence has a word whose pronunciation is unknown.
    """

    def __init__(self, sentences: Iterable[str] = (), *, size: int = 2) -> None:
        self._sentences = [plain_words(sentence) for sentence in sentences]
        self._idle: list[_Decoder] = []
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="ear")

    async def hear(self, samples: Samples) -> str:
        """What was said in 16 kHz mono samples: lower case words, "" for silence.

        Cancelling the wait is safe: the thread finishes on its own and its decoder goes back to the pool.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.hear_now, samples)

    def hear_now(self, samples: Samples) -> str:
        """The same, in the calling thread."""
        if len(samples) < _SHORTEST:
            return ""
        with self._decoder() as decoder:
            return _decode(decoder, samples)

    def warm(self) -> None:
        """Load one decoder in the background, so that the first utterance does not wait for it."""
        self._threads.submit(self._load_one)

    def close(self) -> None:
        """Wait for no one, take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _load_one(self) -> None:
        with self._decoder():
            pass

    @contextmanager
    def _decoder(self) -> Generator[_Decoder, None, None]:
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = _load(self._sentences)
        yield decoder
        # Not in a `finally`: a decoder that failed half way is not used again.
        self._idle.append(decoder)


def plain_words(sentence: str) -> str:
    """Lower case words as the recogniser writes them: no punctuation, straight apostrophes."""
    return " ".join(re.findall(r"[a-z0-9']+", sentence.lower().replace("’", "'")))


def read_audio(data: bytes) -> Samples:
    """Any container and codec PyAV reads, as 16 kHz mono samples. Raises `ValueError` if it is not audio."""
    import av  # here, because it takes a quarter of a second to import  # noqa: PLC0415
    from av.error import FFmpegError  # noqa: PLC0415

    try:
        with av.open(io.BytesIO(data), "r") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"the file cannot be read as audio: {error}") from error
    parts = [cast("Samples", frame.to_ndarray().reshape(-1)) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _load(sentences: Sequence[str]) -> _Decoder:
    if not sentences:
        decoder = _new_decoder()
    else:
        with tempfile.TemporaryDirectory(prefix="ear-") as folder:
            model, dictionary = Path(folder, "replies.lm"), Path(folder, "replies.dict")
            _write_language_model(sentences, model)
            _write_dictionary({word for sentence in sentences for word in sentence.split()}, dictionary)
            decoder = _new_decoder(lm=str(model), dict=str(dictionary))
    decoder.add_jsgf_string(_MEASURE, _MEASURE_GRAMMAR)
    return decoder


def _new_decoder(**files: str) -> _Decoder:
    import pocketsphinx  # as above  # noqa: PLC0415

    return cast("_Decoder", cast("Any", pocketsphinx).Decoder(samprate=RATE, loglevel="FATAL", **files))


def _write_language_model(sentences: Sequence[str], path: Path) -> None:
    from pocketsphinx.lm import ArpaBoLM  # as above  # noqa: PLC0415

    model = cast("Any", ArpaBoLM)(text="\n".join(sentences), add_start=True)
    model.compute()
    model.write_file(str(path))


def _write_dictionary(words: set[str], path: Path) -> None:
    """The lines of these words from the bundled dictionary: with all of it, a small model takes 11 s to load."""
    import pocketsphinx  # as above  # noqa: PLC0415

    wanted = words | {_MEASURED_WORD}
    known: set[str] = set()
    bundled = Path(cast("Any", pocketsphinx).get_model_path("en-us/cmudict-en-us.dict"))
    with bundled.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as chosen:
        for line in lines:
            word = line.split(" ", 1)[0].split("(")[0]  # "a(2)" is another way to say "a"
            if word in wanted:
                known.add(word)
                chosen.write(line)
    if unknown := sorted(wanted - known):
        raise ValueError(f"no pronunciation known for: {', '.join(unknown)}")


def _decode(decoder: _Decoder, samples: Samples) -> str:
    """Decode one utterance, giving way to other threads at every step.

    `process_raw` holds the GIL. Given the whole utterance at once, which is what makes it exact (the cepstral
    mean is then taken over all of it), it stops the event loop for the whole decoding: 0.3 to 0.5 s measured.
    So a grammar of one word measures the mean first (8 ms), and the words are then found piece by piece with
    that mean: the same text in 24 of 24 recordings, and no longer stop than the final pass (0.03 to 0.1 s).
    """
    search = decoder.current_search()
    mean = _cepstral_mean(decoder, samples)
    decoder.activate_search(search)
    _forget_last_utterance(decoder)
    decoder.set_cmn(mean)
    decoder.start_utt()
    for start in range(0, len(samples), _STEP):
        decoder.process_raw(samples[start : start + _STEP].tobytes())
        time.sleep(0)
    decoder.end_utt()
    heard = decoder.hyp()
    return heard.hypstr.strip() if heard else ""


def _cepstral_mean(decoder: _Decoder, samples: Samples) -> str:
    decoder.activate_search(_MEASURE)
    _forget_last_utterance(decoder)
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    mean = decoder.get_cmn(False)
    decoder.end_utt()
    return mean


def _forget_last_utterance(decoder: _Decoder) -> None:
    # Without it the noise estimate of earlier audio leaks into the next answer.
    if hasattr(decoder, "reinit_feat"):
        decoder.reinit_feat()
