"""What the agent says without its language model, in the language of who hears it: recorded before it is needed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

log = logging.getLogger("rapport.voice")

Ask = Callable[[list[dict[str, str]], dict[str, Any]], Awaitable[str]]
_SECONDS = 10.0
_LONGEST = 200
"""Characters of a translation: what is longer is none."""
_TRANSLATE = (
    "Translate the values of this JSON object into the language with the ISO 639 code {!r}, as a polite voice on the"
    " telephone says them. Answer with the JSON object."
)


@dataclass(frozen=True, slots=True)
class Phrases:
    apology: str
    hold_on: str
    farewell: str


ENGLISH = Phrases(
    "Sorry, something went wrong. Please say that again.",
    "One moment, please. ",
    "Sorry, I cannot go on just now. Please call again in a moment. Goodbye.",
)
# Polite forms where a language has them, and no word that tells whether the agent is a man or a woman.
PHRASES = {
    "en": ENGLISH,
    "ar": Phrases(
        "عذرًا، حدث خطأ ما. من فضلك قل ذلك مرة أخرى.",
        "لحظة من فضلك. ",
        "عذرًا، لا أستطيع المتابعة الآن. يرجى الاتصال مرة أخرى بعد قليل. مع السلامة.",
    ),
    "de": Phrases(
        "Entschuldigung, da ist etwas schiefgegangen. Bitte sagen Sie das noch einmal.",
        "Einen Moment, bitte. ",
        "Entschuldigung, ich kann gerade nicht weitermachen. Bitte rufen Sie gleich noch einmal an. Auf Wiederhören.",
    ),
    "es": Phrases(
        "Perdón, algo ha salido mal. Por favor, repítalo.",
        "Un momento, por favor. ",
        "Perdón, ahora mismo no puedo continuar. Por favor, vuelva a llamar dentro de un momento. Adiós.",
    ),
    "fr": Phrases(
        "Pardon, il y a eu un problème. Pouvez-vous répéter, s'il vous plaît ?",
        "Un instant, s'il vous plaît. ",
        "Pardon, je ne peux pas continuer pour le moment. Veuillez rappeler dans un instant. Au revoir.",
    ),
    "hi": Phrases(
        "माफ़ कीजिए, कुछ गड़बड़ हो गई। कृपया फिर से कहिए।",
        "एक पल रुकिए। ",
        "माफ़ कीजिए, अभी बात आगे नहीं हो सकती। कृपया थोड़ी देर में फिर से कॉल कीजिए। नमस्ते।",
    ),
    "it": Phrases(
        "Mi scusi, qualcosa è andato storto. Lo ripeta, per favore.",
        "Un momento, per favore. ",
        "Mi scusi, in questo momento non posso continuare. Richiami tra poco, per favore. Arrivederci.",
    ),
    "ja": Phrases(
        "申し訳ありません、問題が発生しました。もう一度おっしゃってください。",
        "少々お待ちください。",
        "申し訳ありません、ただいま続けることができません。しばらくしてからおかけ直しください。失礼いたします。",
    ),
    "ko": Phrases(
        "죄송합니다, 문제가 생겼습니다. 다시 한번 말씀해 주세요.",
        "잠시만 기다려 주세요. ",
        "죄송합니다, 지금은 계속할 수 없습니다. 잠시 후에 다시 전화해 주세요. 안녕히 계세요.",
    ),
    "nl": Phrases(
        "Sorry, er ging iets mis. Wilt u dat nog een keer zeggen?",
        "Een ogenblik, alstublieft. ",
        "Sorry, ik kan nu even niet verder. Belt u over een ogenblik nog eens. Tot ziens.",
    ),
    "pl": Phrases(
        "Przepraszam, coś poszło nie tak. Proszę powtórzyć.",
        "Chwileczkę, proszę. ",
        "Przepraszam, w tej chwili nie mogę kontynuować. Proszę zadzwonić ponownie za chwilę. Do widzenia.",
    ),
    "pt": Phrases(
        "Desculpe, houve um problema. Pode repetir, por favor?",
        "Um momento, por favor. ",
        "Desculpe, neste momento não posso continuar. Por favor, ligue novamente daqui a pouco. Até logo.",
    ),
    "ru": Phrases(
        "Извините, что-то пошло не так. Пожалуйста, повторите.",
        "Одну минуту, пожалуйста. ",
        "Извините, сейчас продолжить не получится. Пожалуйста, перезвоните чуть позже. До свидания.",
    ),
    "tr": Phrases(
        "Üzgünüm, bir sorun oluştu. Lütfen tekrar söyleyin.",
        "Bir dakika, lütfen. ",
        "Üzgünüm, şu anda devam edemiyorum. Lütfen biraz sonra tekrar arayın. Hoşça kalın.",
    ),
    "zh": Phrases(
        "抱歉，出了点问题。请再说一遍。",
        "请稍等。",
        "抱歉，我现在无法继续。请稍后再打来。再见。",
    ),
}


async def phrases_in(language: str, ask: Ask) -> Phrases:
    """What stands above, for the ISO 639 code; for another language it is asked of a language model, which may not
    answer: then it is English."""
    if not language or language in PHRASES:
        return PHRASES.get(language, ENGLISH)
    messages = [
        {"role": "system", "content": _TRANSLATE.format(language)},
        {"role": "user", "content": json.dumps(asdict(ENGLISH))},
    ]
    try:
        async with asyncio.timeout(_SECONDS):
            return _checked(Phrases(**json.loads(await ask(messages, {"type": "json_object"}))))
    except Exception as error:  # whatever a client raises, and whatever a model answers
        log.warning("[VOICE FAILED] no apology in the language %s: %s", language, type(error).__name__)
        return ENGLISH


def _checked(phrases: Phrases) -> Phrases:
    """Raises `ValueError` for what nobody can say."""
    for words in asdict(phrases).values():
        if not isinstance(words, str) or not words.strip() or len(words) > _LONGEST:
            raise ValueError("no phrase")
    return phrases
