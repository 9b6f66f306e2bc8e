"""The agent knows the day and the hour where its people are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from call.clock import Clock, ClockSettings, spoken_time

FRIDAY_NIGHT_IN_UTC = datetime(2026, 11, 27, 23, 34, tzinfo=UTC)


@pytest.fixture
def machine_in_auckland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.delenv("TIMEZONE", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_without_a_setting_it_is_the_machines_own_time(machine_in_auckland: None) -> None:
    now = FRIDAY_NIGHT_IN_UTC.astimezone(ClockSettings().zone)
    assert spoken_time(now) == "It is Saturday, 28 November 2026, 12:34."
    assert Clock(ClockSettings()).now().utcoffset() == datetime.now(ZoneInfo("Pacific/Auckland")).utcoffset()


def test_a_zone_that_is_set_wins(machine_in_auckland: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEZONE", "America/Los_Angeles")
    now = FRIDAY_NIGHT_IN_UTC.astimezone(ClockSettings().zone)
    assert spoken_time(now) == "It is Friday, 27 November 2026, 15:34."
    assert Clock(ClockSettings()).now().utcoffset() == datetime.now(ZoneInfo("America/Los_Angeles")).utcoffset()


@pytest.mark.parametrize("name", ["Atlantis/Main", "../etc/passwd", "GMT+25", "Lisbon", "/UTC"])
def test_an_unknown_zone_says_what_to_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEZONE", name)
    with pytest.raises(ValidationError, match="use an IANA name, such as Europe/Lisbon"):
        ClockSettings()


# -- one person's


SHOWN = "America/Los_Angeles"


@pytest.mark.parametrize(
    ("told", "shown", "zone"),
    [
        ("my time zone is Asia/Tokyo", SHOWN, "Asia/Tokyo"),
        ("New York", SHOWN, "America/New_York"),
        ("", SHOWN, SHOWN),
        ("somewhere in the Alps", SHOWN, SHOWN),
        ("GMT +2", SHOWN, SHOWN),
        ("", "", "Europe/Lisbon"),
    ],
)
def test_what_they_told_comes_before_what_is_shown_and_that_before_what_is_set(
    told: str, shown: str, zone: str, machine_in_auckland: None
) -> None:
    clock = Clock(ClockSettings(timezone="Europe/Lisbon"), told=lambda: told, shown=lambda: shown)
    assert clock.zone == ZoneInfo(zone)


def test_without_any_of_them_it_is_the_machines_own(machine_in_auckland: None) -> None:
    now = FRIDAY_NIGHT_IN_UTC.astimezone(Clock(ClockSettings()).zone)
    assert spoken_time(now) == "It is Saturday, 28 November 2026, 12:34."


@pytest.mark.parametrize(
    "shown",
    [
        "x" * 10_000,
        "../etc/passwd",
        "/etc/passwd",
        "Europe",
        "Europe/../Asia/Tokyo",
        "Asia/Tokyo\0",
        "tokyo",
        "zone.tab",
    ],
)
def test_what_is_shown_and_is_no_zone_is_ignored(shown: str) -> None:
    clock = Clock(ClockSettings(timezone="Europe/Lisbon"), shown=lambda: shown)
    assert clock.zone == ZoneInfo("Europe/Lisbon")


def test_it_is_asked_anew_each_time() -> None:
    shown = iter(["Asia/Tokyo", "Asia/Kolkata"])
    clock = Clock(ClockSettings(), shown=lambda: next(shown))
    assert [clock.zone, clock.zone] == [ZoneInfo("Asia/Tokyo"), ZoneInfo("Asia/Kolkata")]
