"""What of a text goes when something is forgotten: the parts that say it, and nothing else that was said.

A part of a text says it if it has a word of it that tells something and that nothing kept says too; or, where all its
words are common or are said elsewhere, if it has all of them. So what is kept as a memory stays in every text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise

from memory.language.sentences import sentence_places
from memory.recall.common_words import BETWEEN, COMMON
from memory.recall.letters import letters, runs
from memory.recall.words import stem
from memory.records import STATEMENT_KEY, Memory, Past, Rewording, folded

Words = frozenset[str]

# Of a script without spaces: so many characters stand for a word, in Chinese and Japanese, and in Thai and its like.
_IDEOGRAPHS = re.compile(r"[\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_SYLLABLES = 4

_SENTENCE = re.compile(r"(?<=[!?。！？।॥؟])\s*|\n+|(?<=[^\W\d_]{3}\.)\s+")
# Where one clause may end and the next begin, in the languages of `common_words`; Polish "i" is an English word too.
_CLAUSE = re.compile(
    r"[;；]\s*|[,،]\s+|[，、]|\s+[–—-]\s+"
    r"|\s+(?:and|but|or|so|und|aber|oder|et|mais|ou|y|pero|e|mas|ma|en|maar|и|а|но|ale|ve|ama|और|लेकिन|و)\s+",
    re.IGNORECASE,
)
_OPENS = re.compile(r"^(?:and|but|or|so|also|und|aber|oder|et|mais|y|pero|e|mas|ma|en|maar|и|а|но|ale|ve|ama)\s+", re.I)
# What such a clause begins with that is nothing without the one before it.
_LEANS = re.compile(
    r"(?i)^(?:which|who|whom|whose|that|because|since|as|so|it|its|it's|they|them|this|there|when|while|if|though|although"
    r"|until|than|weil|dass|wenn|denn|es|que|qui|parce|porque|perche|perché|che|omdat|dat|что|потому|который)\b"
)
_END = re.compile(r"[.!?…。！？।؟]*\s*$")
_SHORTEST = 3
"""A clause of fewer words does not stand alone."""
_BLANKS = " \t\r,;:，、–—-"


def content(text: str) -> Words:
    """The words of a text that may tell something: in one spelling, down to the stem, without those that stand in every
    sentence of a script that has no spaces."""
    return frozenset(chain.from_iterable(_content(run, unspaced) for run, unspaced in runs(_plain(text))))


def _content(run: str, unspaced: bool) -> Iterable[str]:
    if not unspaced:
        return (stem(run),)
    return chain.from_iterable(map(_cut, filter(None, BETWEEN.split(run))))


def _cut(run: str) -> Iterable[str]:
    if not _IDEOGRAPHS.match(run):
        return (run[at : at + _SYLLABLES] for at in range(max(1, len(run) - _SYLLABLES + 1)))
    if len(run) == 1:
        return () if _KANA.match(run) else (run,)
    return map("".join, pairwise(run))


def _plain(text: str) -> str:
    return letters(text.replace("’", "'").replace("_", " "))


def telling(words: Words) -> Words:
    """Those that are not common, and no letter alone (in ideographs one is a word)."""
    return frozenset(word for word in words - COMMON if len(word) > 1 or _IDEOGRAPHS.match(word))


@dataclass(frozen=True)
class Thing:
    """One value that is forgotten; `key` is its name if it has one."""

    value: str
    key: str = ""

    @cached_property
    def words(self) -> Words:
        return content(self.value)

    @cached_property
    def name(self) -> Words:
        return content(self.key)

    @cached_property
    def core(self) -> Words:
        """What of a named value is not its name: "teal" of "my favorite color is teal"."""
        return telling(self.words) - self.name or telling(self.words)

    @cached_property
    def full(self) -> Words:
        """All that a text must have to say it by common words alone."""
        alone = self.words - _SMALL
        return alone if len(alone) > 1 else alone | self.name

    def is_said_by(self, words: Words) -> bool:
        """Has a text of these words all of it?"""
        if not self.full:
            return False
        named = bool(self.core and words & self.name and self.core <= words)
        return named or self.full <= words or words - _SMALL == self.words - _SMALL


# Of common words those that no sentence is about: they may be left out when it is said again.
_SMALL = frozenset(
    chain.from_iterable(
        (letters(word), stem(letters(word)))
        for word in """
        a an the i i'm i've me my mine we our us you your is am are was were be been has have had do does did to of in
        on at and or that this it its it's so too very really just also with for as by from
        """.split()
    )
)


def thing_of(memory: Memory) -> Thing:
    return Thing(memory.value, "" if memory.key.startswith(STATEMENT_KEY) else memory.key.replace("_", " "))


@dataclass(frozen=True)
class Redaction:
    """Takes out of texts what says one of these `things`; `kept` says what stays of them, word by word."""

    things: Sequence[Thing]
    said_elsewhere: Words = frozenset()
    kept: Sequence[Words] = ()
    """What is kept that has all common words of one of the things: "I like tea with lemon" beside "I like tea"."""
    orders: Collection[str] = field(default=(), compare=False)
    """Ids of turns that asked for it: a sentence there that shares any word with what is forgotten goes."""

    @cached_property
    def strong(self) -> Words:
        """One of them is enough."""
        return frozenset[str]().union(*(telling(thing.words) for thing in self.things)) - self.said_elsewhere

    @cached_property
    def _asked_for(self) -> Words:
        return frozenset[str]().union(*((thing.words | thing.name) - _SMALL for thing in self.things))

    def __call__(self, text: str, turn: str | None = None) -> str:
        """What is left of a text; of all that says nothing of it, every letter. `turn` is its id, if it is one's."""
        order = turn is not None and turn in self.orders
        if not text or not (content(text) & (self._asked_for if order else self._asked_for | self.strong)):
            return text
        left, changed = list[str](), False
        for sentence in _sentences(text):
            rest = self._of_sentence(sentence, order=order)
            changed = changed or rest != sentence
            left.append(rest)
        return "".join(left).strip() if changed else text

    @cached_property
    def needles(self) -> list[str]:
        """What a text has one of, as `folded` writes it, that may say it: to look for it in a store."""
        forms = {stem(word): folded(word) for thing in self.things for word in _spelled(thing)}
        wanted = set(self.strong).union(*((max(sorted(thing.full), key=len),) for thing in self.things if thing.full))
        if self.orders:
            wanted |= self._asked_for
        return sorted({form for word in wanted for form in _forms(word, forms.get(word, word))})

    def tells(self, text: str) -> bool:
        return self(text) != text

    def blanks(self, text: str) -> bool:
        """Does the text share a word with it, as what a tool was asked may?"""
        return bool(content(text) & (self.strong | (self._asked_for - COMMON)))

    def _of_sentence(self, sentence: str, *, order: bool) -> str:
        if not self._goes(content(sentence), order=order):
            return sentence
        if order:
            return ""
        clauses = list(_clauses(sentence))
        stays = [not self._goes(content(clause)) for _, clause in clauses]
        if all(stays):  # only together they say it
            return ""
        kept: list[str] = []
        for n, (joint, clause) in enumerate(clauses):
            follows = n > 0 and stays[n - 1]
            stays[n] = stays[n] and (follows or _stands_alone(clause))
            if stays[n]:
                between = joint if follows or not joint.strip().isalpha() else ", "
                kept.append(f"{between}{clause}" if kept else clause)
        rest = _OPENS.sub("", "".join(kept).strip(_BLANKS))
        end = _END.search(sentence)
        return f"{_END.sub('', rest)}{end[0] if end else ''}" if rest else ""

    def _goes(self, words: Words, *, order: bool = False) -> bool:
        if words & self.strong:
            return True
        if order:
            return bool(words & self._asked_for)
        return any(
            thing.is_said_by(words) and not any(kept <= words and thing.is_said_by(kept) for kept in self.kept)
            for thing in self.things
        )


def _sentences(text: str) -> Iterator[str]:
    """All of the text, each with the blanks after it."""
    starts = [start for start, _ in sentence_places(text)]
    for start, end in pairwise([0, *starts[1:], len(text)] if starts else [0, len(text)]):
        ends = [cut.end() for cut in _SENTENCE.finditer(text, start, end) if cut.end() < end]
        yield from (text[one:other] for one, other in pairwise([start, *ends, end]) if other > one)


def _clauses(sentence: str) -> Iterator[tuple[str, str]]:
    """Each with what joins it to the one before."""
    at, joint = 0, ""
    for cut in _CLAUSE.finditer(sentence):
        yield joint, sentence[at : cut.start()]
        at, joint = cut.end(), cut[0]
    yield joint, sentence[at:]


def _stands_alone(clause: str) -> bool:
    bare = _OPENS.sub("", clause.strip(_BLANKS))
    found = list(runs(_plain(bare)))
    length = sum(len(run) if unspaced else 1 for run, unspaced in found)
    return length >= _SHORTEST and not _LEANS.match(bare) and bool(content(bare) - _SMALL)


def _forms(left: str, spelled: str) -> set[str]:
    """How a word begins whose stem this is, and that was spelled so once."""
    written = folded(spelled)
    same = next((n for n, (one, other) in enumerate(zip(left, written, strict=False)) if one != other), len(left))
    # the endings of English words take the last vowel along: "smoke" and "smoking"
    begins = [written[:same] if same > 1 else folded(left), folded(left)]
    return {each.rstrip("eiy") if len(each) > 3 else each for each in begins}


def _spelled(thing: Thing) -> Iterable[str]:
    return (run for run, unspaced in runs(_plain(f"{thing.value} {thing.key}")) if not unspaced)


# -- what else goes with what somebody wants forgotten


@dataclass(frozen=True)
class Forgetting:
    """What has to be done so that nothing tells it any more: `gone` are memories that go with their past."""

    gone: Sequence[Memory]
    rewordings: Sequence[Rewording]
    redaction: Redaction


def under(names: Collection[tuple[str, str]], memories: Sequence[Memory], past: Sequence[Past]) -> list[Memory]:
    """What holds, and what held, under these (category, key)."""
    everything = chain(memories, (one.memory for one in past))
    return [memory for memory in everything if (memory.category, memory.key) in names]


def forgetting(
    chosen: Collection[Memory],
    memories: Sequence[Memory],
    past: Sequence[Past],
    orders: Collection[str] = (),
    about: str = "",
) -> Forgetting:
    """All that goes with the `chosen` of a person's memories: their past, and what else was said of it in the same
    turn, or in the same words in another. Some 0.2 ms for each memory: of many it is for a thread.

    `orders` are ids of the turns in which they asked for it. Of a chosen statement that has several sentences only
    those go that share a word with what it is `about`, if any do.
    """
    everything = [*memories, *(one.memory for one in past)]
    parts = [(memory, _part_about(memory, telling(content(about)))) for memory in chosen]
    names = {(memory.category, memory.key) for memory, part in parts if part == memory}
    chosen = [part for _, part in parts]
    while True:
        seeds = [*chosen, *under(names, memories, past)]
        others = [memory for memory in everything if (memory.category, memory.key) not in names]
        redaction, rewordings = _reach(seeds, others, orders)
        found = {
            (one.memory.category, one.memory.key) for one in rewordings if not one.words and one.memory in memories
        }
        if not found:
            held = [memory for memory in memories if (memory.category, memory.key) in names]
            ended = names - {(memory.category, memory.key) for memory in held}
            return Forgetting([*held, *_last_of(past, ended)], rewordings, redaction)
        names |= found


def sharing_a_word(memories: Sequence[Memory], topic: str) -> list[Memory]:
    """Those that have a word of the topic; all where none has: they were found by what they mean."""
    words = telling(content(topic)) or content(topic) - _SMALL
    return [one for one in memories if words & content(f"{one.key} {one.value}")] or list(memories)


def _part_about(memory: Memory, words: Words) -> Memory:
    if not memory.key.startswith(STATEMENT_KEY):
        return memory
    part = "".join(each for each in _sentences(memory.value) if content(each) & words).strip()
    return replace(memory, value=part) if part else memory


def _last_of(past: Iterable[Past], names: Collection[tuple[str, str]]) -> Iterable[Memory]:
    last = {(one.memory.category, one.memory.key): one.memory for one in past}
    return [memory for name, memory in last.items() if name in names]


def _reach(
    seeds: Sequence[Memory], others: Sequence[Memory], orders: Collection[str]
) -> tuple[Redaction, list[Rewording]]:
    things = list(dict.fromkeys(map(thing_of, seeds)))
    sources = {seed.source for seed in seeds if seed.source} | set(orders)
    wanted = frozenset[str]().union(*(thing.words for thing in things))
    near: list[Memory] = []
    elsewhere, kept = set[str](), list[Words]()
    for memory in others:
        words = content(memory.value)
        if memory.source in sources or (
            words & wanted - _SMALL and any(_says(memory.value, thing) for thing in things)
        ):
            near.append(memory)
            continue
        words |= content("" if memory.key.startswith(STATEMENT_KEY) else memory.key)
        elsewhere |= words & wanted
        if any(thing.is_said_by(words) for thing in things):
            kept.append(content(memory.value) - _SMALL)
    redaction = Redaction(things, frozenset(elsewhere), kept, orders)
    rewordings = [Rewording(memory, _rest(memory, redaction)) for memory in near]
    return redaction, [one for one in rewordings if one.words != one.memory.value]


def _rest(memory: Memory, redaction: Redaction) -> str:
    """What is left of a memory that was said in the same turn, or says the same."""
    words = content(memory.value) - _SMALL
    if words and any(words <= thing.words for thing in redaction.things):
        return ""
    rest = redaction(memory.value, memory.source)
    return rest if content(rest) - _SMALL else ""


def _says(text: str, thing: Thing) -> bool:
    """Does a clause of it say the thing, and no more than that?"""
    for sentence in _sentences(text):
        for _, clause in ((" ", sentence), *_clauses(sentence)):
            words = content(clause)
            says = thing.is_said_by(words) or (thing.name and thing.core and thing.core <= words)
            if says and (words & thing.name or not telling(words - thing.words - thing.name)):
                return True
    return False
