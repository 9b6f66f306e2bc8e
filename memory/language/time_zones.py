"""Time zones by what people call them: an IANA name, or the city that is its last part."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from memory.language import plausible
from memory.language.normal_form import plain

# Where the last part of a name is a city's: that of "Brazil/West" says nothing without the rest.
_OF_CITIES = frozenset("Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific".split())
_NO_CITIES = frozenset(("Center", "North", "South", "West"))
# In words: "america north dakota new salem".
_LONGEST = 5
# Of a long text the last characters are looked through: it is asked in every turn, and takes a millisecond at most.
_READ = 240


def is_iana_name(name: str) -> bool:
    """Is it one in the time zone database, letter by letter? Looks at no file but the list of them."""
    return name in _names()


def is_time_zone(said: str) -> bool:
    """Is all of it, in plain form, what somebody calls a zone? "america new_york", "new york", "tokyo time"."""
    return said.removesuffix(" time") in _zones()


def zone_in(text: str) -> str | None:
    """The IANA name of the zone that is named last: "no wait, my time zone is Lisbon"."""
    text = text[-_READ:]
    words = plain(text).split()
    for end in range(len(words), 0, -1):
        if words[end:] and plausible.has_a_digit(words[end]):  # "GMT +2" is not GMT
            continue
        for start in range(max(0, end - _LONGEST), end):
            zone = _zones().get(said := " ".join(words[start:end]))
            if zone and plausible.is_written_as_a_name(said, text):
                return zone
    return None


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def _zones() -> dict[str, str]:
    """IANA names by their plain forms, which a whole name has before a city."""
    zones: dict[str, str] = {}
    for name in sorted(_names()):
        area, _, rest = name.partition("/")
        city = rest.rpartition("/")[2]
        cities = (city, city.replace("_", " ")) if area in _OF_CITIES and city not in _NO_CITIES else ()
        for said in (name, name.replace("_", " "), *cities):
            zones.setdefault(said.replace("/", " ").lower(), name)
    return zones
