"""Words that decide whether a value is plausible for a key: an occupation, a place, a colour. Never complete.

A word that is missing here costs a name for a fact, which is then kept as an unnamed statement; a wrong one would let a
statement replace a fact that it does not contradict. So only words that are safe are in the first kind of list
(occupations, colours, ...), and many are in the second (what is no place, no name, no judgement).
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OCCUPATIONS = _words("""
    accountant actor actress administrator analyst animator architect archaeologist artist assistant astronomer athlete
    attorney auditor author baker banker barber barista bartender biologist blacksmith bookkeeper bookseller bricklayer
    broker builder butcher butler caregiver caretaker carer carpenter cashier chef chemist choreographer cleaner
    clerk coach comedian composer conductor consultant contractor cook copywriter counselor counsellor courier curator
    dancer dentist designer detective developer dietitian diplomat director doctor driver economist editor electrician
    engineer entrepreneur estimator executive farmer firefighter fireman fisherman florist freelancer gardener geologist
    goldsmith hairdresser handyman headmaster historian housekeeper illustrator inspector instructor interpreter
    janitor jeweler jeweller journalist judge lawyer lecturer librarian lifeguard linguist locksmith machinist magician
    manager marketer mason masseuse mathematician mechanic midwife miner minister musician nanny nurse nutritionist
    officer optician optometrist orthodontist painter paralegal paramedic pastor pediatrician pharmacist photographer
    physician physicist physiotherapist pianist pilot plumber policeman policewoman politician porter postman potter
    priest principal producer professor programmer psychiatrist psychologist publisher rabbi radiologist realtor
    receptionist recruiter reporter researcher sailor salesman salesperson saleswoman scientist sculptor secretary
    sergeant shepherd singer soldier solicitor statistician stewardess student stylist surgeon surveyor tailor teacher
    technician technologist tester therapist trader trainer translator tutor undertaker veterinarian vet videographer
    waiter waitress watchmaker weaver welder winemaker woodworker writer zookeeper zoologist
""")
NO_TRADE = _words("""
    good great bad terrible big slow fast amateur hobby aspiring former wannabe born natural excellent poor awful huge
    better best decent real would-be budding retired
""")
COUNTRIES_WITH_THE = _words("""
    netherlands uk us usa states kingdom philippines bronx hague emirates bahamas gambia republic maldives seychelles
    sudan congo uae caribbean midlands highlands cotswolds
""")
NO_PLACES = _words("""
    hope fear peace poverty silence sin denial harmony comfort style luxury pain exile constant darkness debt agony
    misery anger love shame terror wonder anticipation chaos isolation solitude squalor dread ignorance bliss joy
    bed tears bits pieces time days nights night morning evening monday tuesday wednesday thursday friday saturday
    sunday january february march april june july august september october november december
    it there here this that these those them him her me you us one two three four five six first second third last next
    my your his our their a an the some any no every each another both all something somewhere anywhere nowhere
    everywhere between interesting exciting difficult hard strange uncertain troubled modern ancient real fact general
    particular front back case order theory practice private public person part short long total full good bad great
    better worse new old small big large tiny huge nice beautiful lovely quiet noisy rural suburban urban decaf tea
    coffee android linux mac windows iphone python java marketing sales engineering accounting finance design management
    product operations hr legal it research support remote online digital plan step stage level chapter page tier
    university college school work dorms dorm halls lodgings temporary shared rented accommodation housing apartment
    flat house home town city village countryside suburbs suburb building studio trailer van boat caravan tent
    what where when who why how if is are was were am be do does did have has had not and or but
    get find avoid escape help live see study start join keep make save take care follow support pursue become learn try
    stay leave change reach raise earn grow improve enjoy experience visit meet marry attend teach retire relax rest
    pyjamas pajamas jeans sweatpants hoodies leggings sneakers books music distance proximity seclusion grief row seat
    room aisle block money nothing wealth farmers foster care wedlock hospital winter spring summer autumn fall may
    job career role position team department company
""")
NO_NAMES = (NO_PLACES - _words("april may june august hope joy summer autumn")) | _words("""
    unusual easy pronounced spelled spelt written mud important common rare hidden secret unknown unique funny weird
    on in at of to for from with by about it's its maybe probably later tomorrow today tonight back when whenever
    anytime any crazy old-fashioned stupid lucky lazy ishmael's before after again never always often sometimes every
    everyday whatever anything nothing everything names a-name called name sir madam ma'am mate bro dude man buddy
    train bus car foot bike plane boat tram metro subway feel upon up out soon asap next paranoid romantic naive cynical
    sentimental weirdo hungry tired wrong right fat ugly bald
    taxi cab ambulance please so very really old
""")
JUDGEMENTS = _words("""
        not no boring great hard easy tough stressful fun amazing awesome awful terrible horrible fantastic
    wonderful lovely nice
    good bad better worse best worst fine ok okay cool interesting exciting exhausting tiring difficult demanding
    rewarding meaningful important secret private wrong right correct true false old broken dead gone lost missing
    ready ugly beautiful pretty perfect ideal expensive cheap complicated confusing weird strange funny silly different
    same mine yours his hers ours theirs none nothing anything everything something unknown changing full empty down
    up off on over here there out away home late early slow fast loud quiet dirty clean safe dangerous crap rubbish
    trash garbage shit mess disaster lemon wreck joke nightmare dream pain long short too so very really enough hot cold
    embarrassing crazy insane ridiculous brilliant superb delicious disgusting gross sad happy angry upset sick ill
    sleepy asleep hungry thirsty tired annoying annoyed yes no yeah sure maybe perhaps likely probably that's complex
        simple useless useful high low rare strict unusual common huge tiny small big tall simple hell heaven
    raining snowing sunny late time getting going being making doing driving killing what how why who
    where when because if complete total real
""")
COLORS = _words("""
    red blue green yellow orange purple pink black white grey gray brown turquoise teal violet indigo magenta cyan
    beige maroon navy gold silver lavender crimson scarlet lilac burgundy olive mint coral
""")
DRINKS = _words("""
    coffee tea water beer wine juice milk lemonade cola coke soda whisky whiskey gin rum vodka cider espresso cappuccino
    latte kombucha matcha cocoa champagne tequila mate
""")
SEASONS = _words("spring summer autumn fall winter")
KINDS = {word: kind for kind, words in (("color", COLORS), ("drink", DRINKS), ("season", SEASONS)) for word in words}
MONTHS = _words("""
    january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec
""")
SPELLED_NUMBERS = _words("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
""")
PETS = _words("""
    dog cat puppy kitten rabbit bunny hamster parrot bird horse pony turtle tortoise fish goldfish snake lizard ferret
    guinea-pig budgie canary donkey goat chicken hedgehog
""")
COMPANIONS = _words(
    "music coffee chocolate wine google sleep exercise life money time god jesus solitude today tomorrow "
    "woman man girl boy guy lady person"
)
ONE_OF_EACH = {
    "wife": "wife", "husband": "husband", "partner": "partner", "spouse": "partner", "girlfriend": "girlfriend",
    "boyfriend": "boyfriend", "fiance": "fiance", "fiancee": "fiance", "fiancé": "fiance", "fiancée": "fiance",
    "mother": "mother", "mom": "mother", "mum": "mother", "mommy": "mother", "mummy": "mother", "father": "father",
    "dad": "father", "daddy": "father", "boss": "boss", "manager": "manager", "landlord": "landlord",
    "landlady": "landlord", "doctor": "doctor", "dentist": "dentist", "therapist": "therapist", "lawyer": "lawyer",
    "best friend": "best_friend", "ex wife": "ex_wife", "ex husband": "ex_husband", "ex-wife": "ex_wife",
    "ex-husband": "ex_husband", "mother in law": "mother_in_law", "father in law": "father_in_law",
    "mother-in-law": "mother_in_law", "father-in-law": "father_in_law",
}  # fmt: skip
"""People of whom one has one, and how their keys begin."""

MANY_OF_EACH = _words("""
    son daughter child kid baby brother sister twin friend cousin aunt uncle niece nephew grandson granddaughter
    grandchild grandmother grandma grandfather grandpa granny colleague coworker neighbor roommate flatmate teacher
    stepson stepdaughter stepbrother stepsister godson goddaughter
""")
ATTRIBUTES = _words("""
    number code pin size plate username handle nickname surname color type sign birthday anniversary nationality
    religion major degree height weight address zip postcode zipcode salary rent hometown password passcode citizenship
    pronouns deadline bedtime
""")
"""The last word of what a person has one of, so that "my locker code is ..." has a key by itself."""

DEMONYMS = _words("""
    german french dutch english spanish italian portuguese american british irish scottish welsh canadian mexican
    brazilian indian chinese japanese korean russian polish swedish norwegian danish finnish greek turkish ukrainian
    european african asian australian austrian swiss belgian czech hungarian jewish muslim christian catholic buddhist
    hindu protestant orthodox romanian bulgarian serbian croatian bosnian albanian egyptian moroccan nigerian kenyan
    israeli iranian iraqi syrian lebanese thai vietnamese filipino indonesian malaysian pakistani argentinian chilean
    colombian peruvian cuban latino latina hispanic black white deaf republican democrat leo gemini virgo libra aries
""")
NO_OBJECTS = _words("""
    it them him her you me us this that these those there here myself yourself himself herself itself everything nothing
    something anything someone everyone everybody anybody somebody nobody one ones all both some any many much more most
    my your his our their its a an the to how what when where why who which that's if because and or but with without on
    in at of for from by about than as like after before during until since i we they he she is are was were be been
    being am do does did have has had not no never so too very really same other another each every mine yours going
    trying getting being having doing making working today tomorrow yesterday
""")
