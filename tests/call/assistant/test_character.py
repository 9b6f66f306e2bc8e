"""Who the agent is can be set, and what cannot be used is refused with what to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from call.assistant import prompts
from call.assistant.character import CharacterSettings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "character.txt"
    monkeypatch.setenv("INSTRUCTIONS_FILE", str(path))
    return path


def refusal() -> str:
    with pytest.raises(ValidationError) as refused:
        CharacterSettings()
    return str(refused.value)


def test_unset_it_is_ours() -> None:
    settings = CharacterSettings()
    assert settings.instructions.startswith("You are Rapport, a voice assistant who remembers")
    assert settings.instructions.endswith(prompts.MEMORY_RULES)
    assert (settings.first_greeting, settings.later_greeting) == (prompts.FIRST_GREETING, prompts.RETURN_GREETING)


def test_a_file_takes_the_place_of_the_character_and_of_nothing_else(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("\ufeffYou are {name}.\r\n\tÀ bientôt {}!\n", encoding="utf-8")
    monkeypatch.setenv("AGENT_DISPLAY_NAME", " Ada ")
    file_was_read = CharacterSettings()
    file.unlink()
    assert file_was_read.instructions == f"You are Ada.\r\n\tÀ bientôt {{}}!\n\n{prompts.MEMORY_RULES}"


def test_greetings_are_told_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_DISPLAY_NAME", "Ada")
    monkeypatch.setenv("GREETING", "Here is {name}.\nHow are {you}?")
    monkeypatch.setenv("RETURN_GREETING", "Back again?")
    settings = CharacterSettings()
    assert settings.first_greeting == prompts.GREET.format("Here is Ada.\nHow are {you}?")
    assert settings.later_greeting == prompts.GREET.format("Back again?")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is blank: write something"),
        (b"\xef\xbb\xbf \n\t", "it is blank: write something"),
        (b"You are \xff", "is not UTF-8 at byte 8: save it as UTF-8"),
        (b"You are\x00 Ada", r"control character \(U\+0000\) at position 7: remove it"),
        (b"a" * 8_001, "it has 8001 characters: shorten it to 8000"),
        (b"a" * 40_000, "is too long: shorten it to 8000 characters"),
    ],
)
def test_a_file_that_is_no_character_is_refused(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ValidationError, match=rf"INSTRUCTIONS_FILE\n.*character\.txt.*{why}"):
        CharacterSettings()


def test_the_longest_file_may_be_of_any_script(file: Path) -> None:
    file.write_text("𝄞" * 8_000, encoding="utf-8")
    assert CharacterSettings().instructions.startswith("𝄞" * 8_000)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    assert f"{file} cannot be read (No such file or directory): name a text file, or unset it" in refusal()
    file.mkdir()
    assert "cannot be read (Is a directory)" in refusal()


@pytest.mark.parametrize("name", ["AGENT_DISPLAY_NAME", "GREETING", "RETURN_GREETING"])
@pytest.mark.parametrize("value", ["  ", "Ada\x1b[2J", "A\u2028da", "a" * 1_001])
def test_a_name_or_greeting_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert name in refusal()


@pytest.mark.parametrize("value", ["Ada\nBo", "a" * 65])
def test_a_name_is_one_short_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AGENT_DISPLAY_NAME", value)
    assert "AGENT_DISPLAY_NAME" in refusal()
