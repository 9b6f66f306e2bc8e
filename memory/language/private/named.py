"""Secrets that are known by what they are called: "my PIN is 4821", "mein Passwort ist ...", "кодовое слово: ...".

A name alone is no secret ("I forgot my PIN", "my passport expires in 2031"): the value has to follow it, or to stand
before it, by way of a word that says that the one is the other. Of a code the value is a number, of a password
whatever follows. What other codes there are (of a locker, a door, an order) is for the person to be remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memory.language.private.digits import run_of

Span = tuple[int, int]

# Codes by which a person shows who they are: a number of three digits and more.
_PIN = r"""
    pin[- ]?(?:code|number|nummer|kod)|(?:sim )?pin|cvv2?|cvc2?|(?:card )?security code
    (?:phone|screen|unlock)(?:'s)? (?:lock )?code|code (?:for|of|to) (?:unlock )?(?:my |the |our )?(?:\w+ )?(?:phone|tablet|laptop|lock screen|screen)(?:'s)?(?: lock)?(?: screen)?
    card verification (?:code|number)|tan|code (?:for|of|to) (?:my |the |our )?(?:\w+ )?card
    geheimzahl|geheimnummer|kartenprüfnummer|pincode|beveiligingscode|code (?:pin|secret|confidentiel)|cryptogramme
    (?:código|codigo|número|clave) (?:pin|secret[oa]|de seguridad|de segurança)|codice (?:pin|segreto|di sicurezza)
    пин(?:[- ]?код)?|код безопасности|kod pin|pin kodu|pin[- ]?kod
    पिन(?: कोड| नंबर)?|पिनकोड
    暗証番号|ピン(?:コード|番号)?|セキュリティコード|[个個]人识别码|安全码
    الرقم السري|رقمي السري|الرمز السري|رمزي السري|رقم التعريف الشخصي
"""
# Of cards, accounts and persons: a number of five digits and more, with letters perhaps. Heard wrong, it passes no
# checksum, and is private all the same.
_NUMBER = r"""
    (?:credit |debit |bank )?card(?: number| no\.?)|(?:credit|debit|bank) card
    (?<!customer )(?<!utility )(?:bank )?account (?:number|no\.?)
    (?<!customer )(?<!utility )account(?= \d{7})|bank account|routing number|sort code|iban|social security(?: number| no\.?)?|ssn|social insurance number
    national insurance(?: number| no\.?)?|national id(?:entity)?(?: card)?(?: number| no\.?)?
    id(?:entity)?(?: card)? (?:number|no\.?)
    passport(?: number| no\.?)?|(?<=my )social|driver'?s licen[cs]e(?: number| no\.?)?
    tax(?:payer)?(?: identification| file)? (?:id|number|no\.?)
    kontonummer|kreditkarte|(?:kreditkarten|karten)nummer|steuer(?:-?id|identifikationsnummer|nummer)
    sozialversicherungsnummer
    (?:personal)?ausweis(?:nummer)?|reisepass(?:nummer)?|rekeningnummer|creditcard(?:nummer)?|bsn|burgerservicenummer
    paspoortnummer
    num[ée]ro de (?:compte|carte(?: bancaire| de crédit)?|sécurité sociale|passeport|carte d'identité)
    carte (?:bancaire|bleue|de crédit)
    (?:número|numero|nº) (?:de|da|do|di) (?:(?:la|el|mi|mia|meu|minha) )?(?:cuenta|conta|conto|tarjeta(?: de crédito)?|cartão(?: de crédito)?|carta(?: di credito| d'identità)?|la seguridad social|seguridad social|pasaporte|passaporte|passaporto|cartão de cidadão)
    tarjeta de crédito|cartão de crédito|carta di credito|dni|nie|nif|cpf|rg|curp|codice fiscale|cartão de cidadão
    номер (?:счёта|счета|карты|паспорта)|серия и номер паспорта|паспорт|снилс|инн
    pesel|numer (?:konta|karty|dowodu)|tc kimlik(?: numaram?)?|hesap numaram?|kart numaram?|personnummer|hetu
    henkilötunnus|aadhaar
    マイナンバー|パスポート番号|口座番号|カード番号|身份证(?:号码?)?|護照號碼|护照号码?|银行卡号?|(?:银行)?卡号|信用卡号?码?|银行账[户号]
    आधार(?: कार्ड)?(?: नंबर| संख्या)?|खाता (?:नंबर|संख्या)|कार्ड नंबर|पासपोर्ट नंबर|पैन(?: नंबर)?
    رقم (?:الهوية|هويتي|الجواز|جوازي|جواز السفر|جواز سفري|الحساب|حسابي|البطاقة|بطاقتي)|الرقم القومي|رقمي القومي
"""
_PASSWORD = r"""
    (?:wifi |wi-fi |master )?pass ?(?:word|code|phrase)|(?:seed|recovery|secret|backup) (?:phrase|code|key)|api key
    access token|private key|safe word
    (?:\w+-)?passwort|kennwort|losungswort|wachtwoord|mot de passe|contraseña|palabra clave|clave secreta|senha
    palavra[- ]passe|password
    parola (?:d'ordine|segreta|chiave)|пароль|кодовое слово|hasło|şifrem?|parolam?|lösenord|salasana|adgangskode
    パスワード|合言葉|密码|密碼|口令|비밀번호
    पासवर्ड|كلمة (?:السر|المرور)|كلمة (?:سري|مروري|سر \w+)
"""


# Some part of each name: what has none of them is not read any further, which would take milliseconds.
_STEMS_OF_PASSWORDS = tuple(
    """
    pass key token phrase safe kennwort losung wachtwoord clave senha palavra parola пароль кодов hasł şifre lösen
    salasana adgang contras secret パスワード 合言葉 密码 密碼 口令 비밀 पासवर्ड كلمة
    """.split()
)
_STEMS_OF_NUMBERS = tuple(
    """
    pin phone tablet laptop screen unlock cvv cvc secur segur sicur tan geheim kartenpr beveilig secret segret cryptogr confiden verification пин безопас
    पिन 暗証 ピン セキュ 识别码 安全码 سري التعريف
    card account rout sort iban social ssn insurance identity passp pasap passap licen tax konto kreditk karten steuer
    sozial ausweis reisepass rekening credit bsn burgerser compte carte cuenta conta conto tarjeta cart dni nie nif cpf
    rg curp codice счёт счет карт паспорт снилс инн pesel numer kimlik numaram personnummer hetu henkil aadhaar national
    マイナンバー パスポート 口座 カード 身份证 护照 護照 银行 卡号 信用卡 आधार खाता कार्ड पासपोर्ट पैन رقم القومي id
    """.split()
)
_STEMS = _STEMS_OF_PASSWORDS + _STEMS_OF_NUMBERS
_FEWEST = 2
"""No code and no number that is known by its name has fewer digits."""
_AROUND = 160
"""So many characters before and after a name are read."""
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def _names(*tables: str) -> str:
    """What stands in the lines, as one pattern of whole words; of scripts without blanks also within others."""
    lines = [line.strip() for table in tables for line in table.strip().splitlines()]
    anywhere = [line for line in lines if _UNSPACED.match(line)]
    words = [line for line in lines if line not in anywhere]
    whole = rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W\d_])"
    return rf"(?:{whole}|{'|'.join(anywhere)})" if anywhere else whole


_NAME = re.compile(
    rf"(?P<pin>{_names(_PIN)})|(?P<number>{_names(_NUMBER)})|(?P<password>{_names(_PASSWORD)})", re.IGNORECASE
)
# The one is the other. Without any such word the value has to follow at once.
_IS = (
    r"(?:\s*(?:[:=：]|[-–—]\s)\s*|\s*(?:は|是|为|為|가|는|은)\s*"
    r"|,?\s+(?:is|was|are|=|as|to|equals|used to be|has the number|ist|lautet|heißt|war|hat die nummer|est|c'est|es|era|é|è"
    r"|это|является|هو|هي|är|jest)(?:\s*[:,=]\s*|\s+)"
    r"(?:(?:now|still|currently|just|simply|always|jetzt|aktuell"
    r"|ahora|agora|adesso|nu|теперь|الآن|the|die|der|le|la|el|il"
    r"|o|het|(?:the )?(?:number|code|word)s?)\s+)?"
    r"|'s\s+)"
)
# What may stand between a name and the word: "my PIN for the card at Triodos is", never the end of a sentence.
_BETWEEN = r"(?:[\s,]+(?!(?:is|was)\b)[^\W\d_][\w'’-]*){0,7}?"
_ID = r"(?:[A-Z]{0,3}[ -]?" + run_of(5) + r"(?:[ -]?[A-Z](?![A-Z]))?|(?=[A-Z0-9]*\d[A-Z0-9]*\d)[A-Z0-9]{6,})"
_CODE = rf"(?:{run_of(3, 12)})"


_NUMBER_IS = r"(?:\s*は\s*|\s*是\s*|\s+(?:is|was|ist|war|est|es|é|è|as|als|comme|como|come|это)\s+)"


def _after(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{_BETWEEN}{_IS}|[\s#]+)(?P<value>{value})(?!\d)", re.IGNORECASE)


def _before(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.,])(?P<value>{value}){_NUMBER_IS}(?:[^\W\d_][\w']*\s+){{0,3}}?$", re.IGNORECASE)


# Said once more of the same: "my PIN was 1111, now it's 4821"; "it's 4821, my PIN".
_IT_IS = re.compile(rf"\b(?:it'?s|it is|now)\s+(?:now\s+)?(?P<value>{_CODE})(?!\d)", re.IGNORECASE)
_NAMED_AFTER = re.compile(
    rf"(?<![\w.,])(?P<value>{_CODE}),\s*(?:that'?s |that is )?(?:my|our|mein|meine|mon|mi)\s+$", re.IGNORECASE
)
_AROUND_A_NAME = {"pin": (_after(_CODE), _before(_CODE)), "number": (_after(_ID), _before(_ID))}

# A password is one word, or a few up to the end of the clause.
_WORD = r"[^\s,;。、，；！？।]+"
_VALUE = (
    rf"(?P<quote>[\"'“„«「『])(?P<quoted>[^\"'”“»」』]+)|(?P<value>{_WORD}(?:\s+(?!(?:and"
    rf"|but|und|aber|et|mais|y|pero|e|mas|ma|en|maar|и|но|और)\s){_WORD}){{0,6}})"
)
_NO_PASSWORD = r"(?!\s+(?:manager|polic|reset|hint|app\b|protect|gestor|gestionnaire))"  # of a name that goes on
_PASSWORD_IS = re.compile(rf"{_NO_PASSWORD}{_BETWEEN}{_IS}(?:{_VALUE})", re.IGNORECASE)
# without such a word, what looks like one; and before its name
_CODED = re.compile(r"\s+(?P<value>(?=\S*\d)(?=\S*[^\W\d_])\S{4,})")
_AS_PASSWORD = re.compile(
    rf"(?<!\S)(?P<value>{_WORD})\s+(?:is|as|ist|als|est|comme|es|como|é|è|come|это)\s+"
    r"(?:my|the|our|mein|meine|das|mon|le|mi|la|a|minha|il|mio|mijn|het|мой)\s+(?:[^\W\d_][\w-]*\s+)?$",
    re.IGNORECASE,
)
_HINDI = re.compile(r"\s+(?P<value>\S+)\s+है")
# What a password is, and not what it says: too long, in the drawer, the same everywhere; or, in a word or three, weak.
_GOES_ON = frozenset(
    """
    a an the my our your his her their in on at by from for with under not no never too very so really quite always also
    still only being been something somewhere what about going nobody
    zu nicht sehr kein immer noch auch nur im auf ein eine der die das mein meine schon überall
    trop pas très un une le la mon ma dans sur toujours encore muy el mi en siempre demasiado muito não um uma o minha
    na no sempre troppo non il mio te niet een het de mijn op altijd слишком не очень всегда где नहीं बहुत ليس ليست
    """.split()
)
_DESCRIBES = frozenset(
    """
    easy hard long short weak strong secure safe secret saved stored written wrong correct right expired gone lost stolen
    broken old new different same stuck private good bad here there required needed case-sensitive complicated simple
    terrible ready okay fine important changed
    falsch richtig abgelaufen weg lang kurz sicher unsicher schwach stark alt neu geheim gespeichert vergessen gehackt
    leicht schwer einfach faux bon expiré court faible sûr oublié perdu enregistré difficile facile largo corto débil
    seguro incorrecto longo fraco errada incorreta lungo debole sbagliata scaduta zwak fout verlopen неверный забыт
    भूल क्या सही गलत طويلة
    """.split()
)
_DESCRIBES_HAN = re.compile(r"^(?:[忘長长短難难簡简変变違违太很不错錯什])")
_FEW = 3
_END = re.compile(r"(?:です|だよ?|でした)?[\s.,;:!?。！？]*$")


def named_secrets(text: str, digits: int) -> Iterator[Span]:
    """Where in a text of so many digits the values stand."""
    low = text.casefold()
    stems = _STEMS_OF_PASSWORDS if digits < _FEWEST else _STEMS
    if not any(map(low.__contains__, stems)):
        return
    for name in _NAME.finditer(text):
        start = max(0, name.start() - _AROUND)
        before, after = text[start : name.start()], text[name.end() : name.end() + _AROUND]
        for at, found in ((start, _said_before(name, before)), (name.end(), _said_after(name, after))):
            yield from ((at + first, at + last) for first, last in filter(None, found))


def _said_before(name: re.Match[str], text: str) -> list[Span | None]:
    if name.lastgroup in _AROUND_A_NAME:
        ways = [_AROUND_A_NAME[name.lastgroup][1], *([_NAMED_AFTER] if name.lastgroup == "pin" else [])]
        return [found.span("value") for found in (pattern.search(text) for pattern in ways) if found]
    return [_password(found) for found in [_AS_PASSWORD.search(text)] if found]


def _said_after(name: re.Match[str], text: str) -> list[Span | None]:
    if name.lastgroup in _AROUND_A_NAME:
        found = _AROUND_A_NAME[name.lastgroup][0].match(text)
        again = _IT_IS.search(text, found.end()) if found and name.lastgroup == "pin" else None
        return [each.span("value") for each in (found, again) if each]
    ways = (pattern.match(text) for pattern in (_PASSWORD_IS, _CODED, _HINDI))
    return [_password(found) for found in ways if found]


def _password(found: re.Match[str]) -> Span | None:
    name = "quoted" if found.groupdict().get("quoted") else "value"
    start, value = found.start(name), found[name]
    words = value.split()
    first = words[0].casefold().strip(".,!?")
    if any(map(str.isdigit, first)):  # what follows a word with digits in it is no part of it
        value = words[0]
    elif name == "value" and (
        first in _GOES_ON or (first in _DESCRIBES and len(words) <= _FEW) or _DESCRIBES_HAN.match(first)
    ):
        return None
    length = len(value) if name == "quoted" else len(_END.sub("", value))
    return (start, start + length) if length else None


_OPEN = re.compile(rf"{_BETWEEN}{_IS}\s*", re.IGNORECASE)
_ALONE = re.compile(r"\W*(?:[^\W\d_]+\s+){0,2}")
_ASKED = re.compile(
    r"(?:\b(?:what|which|tell|give|say|read|enter|spell|wie|was|welche|nenn|quel|quelle|donne\w*|cuál|qué|di|dime|qual|diga"
    r"|quale|dimmi|wat|welke?|какой|назови\w*|podaj|nedir)\b|ما)[^.?!]*[?？؟]|教え|何|什么|多少|क्या|बता",
    re.IGNORECASE,
)


def awaits_a_secret(text: str) -> bool:
    """Does it stop where a secret would follow: "my PIN is"?"""
    said = text.rstrip(" .…,-") + " "
    names = list(_NAME.finditer(said))
    return any(
        _OPEN.fullmatch(said, name.end())
        or (not said[name.end() :].strip() and _ALONE.fullmatch(said, 0, name.start()))
        for name in names[-1:]
    )


def asks_for_a_secret(text: str) -> bool:
    """Does it end with a question for one: "What is your PIN?" """
    last = text[-_AROUND:]
    return bool(_ASKED.search(last) and _NAME.search(last))
