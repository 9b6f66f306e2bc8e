"""Secret numbers that tell by themselves what they are: cards, bank accounts, national ids of a form of their own.

What a checksum proves: that the digits belong together, as those of a card or an account do. It proves neither that
there is such an account nor that the number is one: of any sixteen digits one in ten passes Luhn's, of any IBAN's form
one in ninety-seven its own. So a checksum alone is never enough: the form has to be the kind's as well (a card's length
and first digits, an IBAN's country, a date within an id). National ids that are plain digits, such as a BSN or a CPF
without its dots, have no such form: they are known by their names alone (`memory.language.private.named`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.se import personnummer
from stdnum.us import ssn

from memory.language.private.digits import digits_of, groups

Span = tuple[int, int]

# ISO/IEC 7812: lengths and first digits of the networks that issue today (American Express, Diners, Visa, Mastercard
# and Mir, JCB, Discover, UnionPay, Maestro, RuPay). Visa's old cards of 13 digits are left out: a barcode has 13.
_CARD = re.compile(
    r"3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|4\d{15}(?:\d{3})?|(?:5[0-8]|2[2-7]|35|6\d|8[12])\d{14}|(?:6\d|5[06-8])\d{15,17}"
)
_LONGEST_CARD = 19
_SHORTEST_CARD = 14

# As it is written and as it is spelled out: "N L 91 A B N A 04 17 16 43 00".
_IBAN = re.compile(r"(?<![0-9A-Z])[A-Z][ -]?[A-Z][ -]?\d[ -]?\d(?:[ -]?[A-Z0-9]){11,30}(?![0-9A-Z])", re.IGNORECASE)
_SHORTEST_IBAN = 15
_FEWEST = 5
"""No number here has fewer digits."""


def _has_no_checksum(_: str) -> bool:
    return True


def _is_iban(text: str) -> bool:
    return iban.is_valid(text, check_country=False)


# A form that nothing else has, and what checks it.
_FORMS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"\d{3}\.\d{3}\.\d{3}-\d\d", cpf.is_valid),
    (r"[1-9]\d{16}[\dX]", ric.is_valid),
    (r"\d{8}[ -]?[A-Z]", dni.is_valid),
    (r"[XYZ][ -]?\d{7}[ -]?[A-Z]", nie.is_valid),
    (r"\d{6}[-+A]\d{3}[\dA-Y]", hetu.is_valid),
    (r"[12](?: ?\d\d){2} ?\d[\dAB](?: ?\d{3}){2} ?\d\d", nir.is_valid),
    (r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]", codicefiscale.is_valid),
    (r"\d{6}-\d{7}", rrn.is_valid),
    (r"[A-Z]{4}\d{6}[A-Z]{6}[A-Z\d]\d", curp.is_valid),
    (r"(?:\d\d)?\d{6}-\d{4}", personnummer.is_valid),
    (r"\d{3}-\d\d-\d{4}", ssn.is_valid),
    # the British one has a form and no checksum
    (r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d\d){3} ?[A-D]", _has_no_checksum),
)
_IDS = [(re.compile(rf"(?<![0-9A-Z-]){form}(?![0-9A-Z-])", re.IGNORECASE), check) for form, check in _FORMS]


def secret_numbers(text: str, digits: int) -> Iterator[Span]:
    """Where in a text of so many digits they stand."""
    if digits < _FEWEST:
        return
    if digits >= _SHORTEST_CARD:
        yield from _cards(text)
    yield from _ibans(text)
    for form, check in _IDS:
        yield from (found.span() for found in form.finditer(text) if check(found[0]))


def _cards(text: str) -> Iterator[Span]:
    """Between the edges of the groups in which a number was said: its expiry date may follow at once."""
    for run in groups(text):
        first = 1 if text[: run[0][0]].rstrip().endswith("+") else 0  # else it is a telephone number
        while first < len(run):
            end = next(_ends(text, run[first:]), None)
            if end is None:
                first += 1
                continue
            yield run[first][0], end
            first = next((n for n, (start, _) in enumerate(run) if start >= end), len(run))


def _ends(text: str, run: Sequence[Span]) -> Iterator[int]:
    """Where a card's number that begins with the run may end, the longest first."""
    digits, ends = "", list[int]()
    for start, end in run:
        digits += digits_of(text[start:end])
        if len(digits) > _LONGEST_CARD:
            break
        if len(digits) >= _SHORTEST_CARD and _CARD.fullmatch(digits) and luhn.is_valid(digits):
            ends.append(end)
    return reversed(ends)


def _ibans(text: str) -> Iterator[Span]:
    """Words may follow that look like a part of one: the longest that is one counts."""
    for found in _IBAN.finditer(text):
        whole = found[0]
        edges = [n for n in range(len(whole), 0, -1) if n == len(whole) or whole[n] in " -"]
        fits = (n for n in edges if len(whole[:n]) >= _SHORTEST_IBAN and _is_iban(whole[:n]))
        if (end := next(fits, None)) is not None:
            yield found.start(), found.start() + end
