"""What day and hour it is for the people who call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from memory.language.time_zones import is_iana_name, zone_in


class ClockSettings(BaseSettings):
    """`timezone` is an IANA name (Europe/Lisbon); without one it is the machine's own zone (`TZ`)."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    timezone: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone: use an IANA name, such as Europe/Lisbon or UTC") from None

    @property
    def zone(self) -> tzinfo | None:
        """None is the machine's own, as `datetime.astimezone` takes it."""
        return ZoneInfo(self.timezone) if self.timezone else None


@dataclass(frozen=True)
class Clock:
    """What day and hour it is for one person. Asked anew each time: they may tell, or travel, during the call.

    `told` answers what they said of their time zone, `shown` the IANA name that their front end shows; "" for neither.
    """

    settings: ClockSettings
    told: Callable[[], str] = str
    shown: Callable[[], str] = str

    @property
    def zone(self) -> tzinfo | None:
        """What they told, else what is shown, else the settings'; None is the machine's own."""
        # most people have neither, and then no list of zones is read
        if (told := self.told()) and (name := zone_in(told)):
            return ZoneInfo(name)
        shown = self.shown()  # theirs to edit: it may hold anything
        return ZoneInfo(shown) if shown and is_iana_name(shown) else self.settings.zone

    def now(self) -> datetime:
        return datetime.now().astimezone(self.zone)


def spoken_time(now: datetime) -> str:
    """`It is Saturday, 28 November 2026, 12:34.`, for the instructions."""
    return f"It is {now:%A, %d %B %Y, %H:%M}."
