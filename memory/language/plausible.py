"""Is a value one that can stand under its key: a place, a name, a trade, a date? All take plain forms.

The lists of words are never complete. A word that is missing costs a name for a fact, which is then kept as an unnamed
statement; a wrong one would let a statement replace a fact that it does not contradict.
"""

from __future__ import annotations

import re

from memory.language.normal_form import NUMBERS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OCCUPATIONS = _words("""
    accountant actor actress analyst architect artist assistant author baker barber barista bartender biologist builder
    butcher carer carpenter cashier chef chemist cleaner clerk coach composer consultant contractor cook courier dancer
    dentist designer developer director doctor driver economist editor electrician engineer farmer firefighter
    fisherman florist gardener hairdresser historian instructor interpreter janitor journalist judge lawyer lecturer
    librarian manager mathematician mechanic midwife miner musician nanny nurse nutritionist officer optician painter
    paramedic pharmacist photographer physicist physiotherapist pilot plumber police policeman postman priest principal
    producer professor programmer psychiatrist psychologist receptionist reporter researcher sailor salesman
    salesperson scientist secretary singer soldier student surgeon tailor teacher technician therapist trainer
    translator tutor vet veterinarian waiter waitress welder writer
""")
_NO_TRADE = _words("""
    not no my your his her our their good great bad terrible big slow fast amateur hobby aspiring former wannabe born
    natural excellent poor awful better best decent real would-be retired walking armchair
""")
_COUNTRIES_WITH_THE = _words("netherlands uk us usa states kingdom philippines bronx hague emirates bahamas gambia")
_NO_NAMES = _words("""
    it there here this that these those them him her me you us my your his our their a an the some any no every each
    all both and or but not is are was were be do does did have has had on in at of to for from with by about upon
    if what where when who why how something nothing anything everything somewhere nowhere everywhere whatever
    always often never sometimes tomorrow today tonight later now back soon next last before after again one two
    three four five first second unusual easy pronounced spelled spelt mud important common rare secret unknown
    funny weird hard difficult crazy old-fashioned old stupid lucky lazy biased paranoid romantic naive cynical
    hungry tired wrong right called name names sir madam mate dude taxi cab ambulance train bus car foot bike plane
    please so very really avoid find get escape help live see study join work school college university small big
    tiny large nice quiet new-build temporary rented
""")
_NO_PLACES = _words("""
    hope fear peace poverty silence denial harmony comfort luxury pain darkness debt misery chaos isolation bed tears
    days morning monday tuesday wednesday thursday friday saturday sunday between interesting good bad better worse
    new theory practice private public house home apartment town city village suburbs suburb tent pyjamas sweatpants
    hoodies jeans books music android linux windows python java react marketing sales engineering design management
    support remote love money research plan
""")
_JUDGEMENTS = _words("""
    not no so very really too enough boring great hard easy tough stressful fun amazing awesome awful terrible horrible
    fantastic wonderful lovely nice good bad better worse best fine ok okay cool interesting exciting exhausting
    difficult demanding rewarding meaningful important secret wrong right correct true false broken full missing
    beautiful perfect expensive cheap complicated confusing weird strange funny silly different same none nothing
    anything everything unknown changing raining snowing sunny cold hot late time over here there away what how why who
    where when because
""")
_MONTHS = _words("""
    january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec
""")
_SPELLED_NUMBERS = NUMBERS.keys() | _words("thirty forty fifty sixty seventy eighty ninety hundred")
PETS = _words("dog cat puppy kitten rabbit bunny hamster parrot bird horse pony turtle tortoise goldfish snake budgie")
ONE_OF_EACH = {
    "best friend",
    *_words("wife husband partner girlfriend boyfriend fiance fiancee mother father boss doctor"),
}
MANY_OF_EACH = _words("""
    son daughter child kid baby brother sister twin friend cousin aunt uncle niece nephew grandson granddaughter
    grandmother grandma grandfather grandpa colleague coworker neighbor roommate flatmate teacher
""")
SAME_RELATIVE = {"mom": "mother", "mum": "mother", "dad": "father", "fiancée": "fiancee", "fiancé": "fiance"}


def is_name(value: str) -> bool:
    words = value.split()
    return len(words) <= 4 and not _NO_NAMES & set(words)


def is_place(value: str) -> bool:
    words = value.split()
    if words[0] == "the":
        return len(words) > 1 and words[-1] in _COUNTRIES_WITH_THE
    if len(words) > 1:  # "New York", "Mexico City"
        words = words[words[0] == "new" : len(words) - (words[-1] in {"city", "town"})]
    return is_name(" ".join(words)) and not _NO_PLACES & set(words) and not has_a_digit(value)


def is_written_as_a_name(value: str, statement: str) -> bool:
    """Where a statement has capitals, the value begins with one, or with an article: "a bakery", "the Hague".

    What a recogniser writes in small letters throughout may be anything, and so may what has no case."""
    if statement == statement.lower() or value.split(maxsplit=1)[0] in ("a", "an", "the"):
        return True
    first = re.split(r"[^\w.]", value)[0]
    capitals = {word.lower() for word in re.findall(r"[\w.]+", statement) if word != word.lower()}
    return "." in first or first.lower() == first.upper() or any(word.strip(".") == first for word in capitals)


def is_trade(value: str) -> bool:
    """`a primary school teacher at St Mary's`: the last word before any preposition is an occupation."""
    words = re.split(r" (?:at|for|in|with|of|on|from|who|by|near) ", value)[0].split()
    return len(words) <= 6 and not _NO_TRADE & set(words) and words[-1] in _OCCUPATIONS


def is_work(value: str) -> bool:
    """What follows "I work as": anything short that does not judge."""
    words = value.split()
    return len(words) <= 8 and words[0] not in _JUDGEMENTS | {"if", "usual", "much", "long"}


_NO_ORGANISATION = re.compile(
    r"(?:home|night|nights|weekends|all|times|it|my|your|his|her|our|their|fun|free|love|tips|myself|money|peanuts|this"
    r"|that|least|first|noon|midnight|speed|what|\w+ing|\d+|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|the (?:moment|weekend|weekends|same|best|money|office|evening|morning|day)"
    r"|an? (?:living|while|change|reason|bit|time|desk|computer|hour|day|week|month|year))\b.*"
)


def is_organisation(value: str) -> bool:
    return len(value.split()) <= 6 and not _NO_ORGANISATION.fullmatch(value)


def is_date(value: str) -> bool:
    words = set(value.split())
    relative = words & {"next", "tomorrow", "today", "soon", "this", "last", "week"}
    return not relative and (bool(words & _MONTHS) or has_a_digit(value))


def is_age(value: str) -> bool:
    words = value.split()
    if value.isdigit():
        return 1 <= int(value) <= 120
    return len(words) <= 2 and set(words) <= _SPELLED_NUMBERS and len(set(words)) == len(words)


def is_adult_age(value: str) -> bool:
    """ "I'm two" alone may be anything (minutes away, doors down); "I'm forty two" is an age."""
    return is_age(value) and value not in "1 2 3 4 5 6 7 8 9 10 one two three four five six seven eight nine ten zero"


def is_number(value: str) -> bool:
    words = re.split(r"[ .-]+", value.lstrip("+"))
    digits = _SPELLED_NUMBERS | {"oh", "o", "double", "triple", "plus"}
    return (len(words) > 1 or len(value) > 4) and all(word.isdigit() or word in digits for word in words)


def is_email(value: str) -> bool:
    return "@" in value or bool(re.fullmatch(r"\S.* at \S.* dot .+", value))


def is_calm(value: str) -> bool:
    """Does it say which or what something is, rather than what it is like?"""
    words = value.split()
    return 0 < len(words) <= 12 and words[0] not in _JUDGEMENTS | {"it", "that", "this", "mine", "yours"}


def has_a_digit(value: str) -> bool:
    return any(map(str.isdigit, value))
