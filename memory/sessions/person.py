"""What is known of one person, in process: what holds, what held before, and what of a turn is news. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

from memory.language.normal_form import normal_form, same_statement
from memory.language.statements import Statement, settled
from memory.recall.memories import RecallIndex
from memory.records import Category, Memory, Past, next_statement_key, statement_key

# Something said again shares its words with what was said before, and is found among the first.
_LIKELY = 16


class Person:
    """Memories and past of one person. One thread at a time; building it of many is for a thread of its own."""

    def __init__(self, memories: Sequence[Memory] = (), past: Sequence[Past] = ()) -> None:
        self.index = RecallIndex(memories)
        self._held = {(memory.category, memory.key): memory for memory in memories}
        self._past = list(past)
        self._turns = {(one.category, one.source) for one in (*memories, *(each.memory for each in past))}
        """From which turns something is known, by category: one that comes again states nothing new."""

    @property
    def complete(self) -> bool:
        """False if there is more of them than is kept in process."""
        return self.index.left_out == 0

    def get(self, category: Category, key: str) -> Memory | None:
        memory = self._held.get((category, key))
        return memory if memory and _holds(memory) else None

    def past(self) -> list[Past]:
        """In the order in which it passed, with what was set aside."""
        return [one for one in self._past if _holds(one.memory)]

    def put(self, memory: Memory) -> None:
        """Take a memory over. What it replaces becomes past, and so does the memory itself, if something is known that
        was said later. One that came and went already stays past."""
        if any(one.memory == memory for one in self._past):
            return
        current = self.get(memory.category, memory.key)
        self._turns.add((memory.category, memory.source))
        if current and current.said_at > memory.said_at:
            self._put_late(memory, current)
            return
        if current and current.value != memory.value and not _is_of_one_turn(current, memory):
            self._past.append(Past(current, memory.said_at))
        self._held[memory.category, memory.key] = memory
        self.index.put(memory)

    def _put_late(self, memory: Memory, current: Memory) -> None:
        """It held until the next thing was said under its key, and what was said before it held until then."""
        name, said_at = (memory.category, memory.key), memory.said_at
        told = [one for one in self._past if (one.memory.category, one.memory.key) == name]
        later = [one.memory for one in told if one.memory.said_at > said_at]
        after = min([*later, current], key=lambda one: one.said_at)
        if after.value == memory.value:
            return
        for one in told:
            if one.memory.said_at <= said_at < one.until:
                self._past[self._past.index(one)] = replace(one, until=said_at)
        self._past.append(Past(memory, after.said_at))
        self._past.sort(key=lambda one: one.until)

    def end(self, past: Past) -> None:
        """What held is past, if it is still here as it was."""
        memory = past.memory
        if self._held.get((memory.category, memory.key)) == memory:
            del self._held[memory.category, memory.key]
            self.index.remove(memory.category, memory.key)
            self._past.append(past)
            self._past.sort(key=lambda one: one.until)

    def take_out(self, category: Category, key: str) -> None:
        """A memory and its past. The turn it came from stays known, so that it does not come back with it."""
        self._held.pop((category, key), None)
        self.index.remove(category, key)
        self._past = [one for one in self._past if (one.memory.category, one.memory.key) != (category, key)]

    def reword(self, memory: Memory, words: str) -> None:
        """Where it stands as it is, now or in the past, it says these words; with none it is gone."""
        name = (memory.category, memory.key)
        held = self._held.get(name)
        if held and held.value == memory.value:
            self.index.remove(*name)
            del self._held[name]
            if words:
                self._held[name] = replace(held, value=words)
                self.index.put(self._held[name])
        changed = (
            replace(one, memory=replace(one.memory, value=words)) if _is_same(one.memory, memory) else one
            for one in self._past
        )
        self._past = [one for one in changed if one.memory.value]

    def news(
        self, statements: Iterable[Statement], source: str, said_at: datetime, conversation: UUID | None
    ) -> list[Memory]:
        """What of a turn's statements is to be kept, as memories under keys that are free here.

        Left out is what was kept from this turn before, and what says again what is known.
        """
        news: list[Memory] = []
        for statement in map(self._settled, statements):
            memory = Memory(statement.category, statement.key or "", statement.value, said_at, source, conversation)
            found = self._named(memory) if statement.key else self._unnamed(memory, news)
            if found and (found.category, source) not in self._turns:
                news.append(found)
        return news

    def _settled(self, statement: Statement) -> Statement:
        current = self.get(statement.category, statement.key) if statement.key else None
        return settled(statement, current.value if current else None)

    def _named(self, memory: Memory) -> Memory | None:
        current = self.get(memory.category, memory.key)
        if current is None or not same_statement(current.value, memory.value):
            return memory
        # in its first wording it is the same value again, and nothing has passed
        return None if current.said_at > memory.said_at else replace(memory, value=current.value)

    def _unnamed(self, memory: Memory, news: Sequence[Memory]) -> Memory | None:
        if self._is_known(memory):
            return None
        key = statement_key(memory.said_at)
        while (memory.category, key) in self._held or any((memory.category, key) == (m.category, m.key) for m in news):
            key = next_statement_key(key)
        return replace(memory, key=key)

    def _is_known(self, memory: Memory) -> bool:
        """Is there one of the same category that says the same in nearly the same words?"""
        likely = self.index.search(memory.value, _LIKELY) or islice(self.index.latest(), _LIKELY)
        form = normal_form(memory.value)
        return any(other.category is memory.category and normal_form(other.value) == form for other in likely)


def _is_of_one_turn(one: Memory, other: Memory) -> bool:
    """Then the later one says less: some of it was forgotten elsewhere, and is no past."""
    return one.source is not None and (one.source, one.said_at) == (other.source, other.said_at)


def _is_same(one: Memory, other: Memory) -> bool:
    return (one.category, one.key, one.value) == (other.category, other.key, other.value)


def _holds(memory: Memory) -> bool:
    return memory.expires_at is None or memory.expires_at > datetime.now(UTC)
