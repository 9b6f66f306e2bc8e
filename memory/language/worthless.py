"""Which sentences are surely not worth keeping: questions, greetings, fillers, orders to the agent, noise.

Whatever a person says is kept, in any language, unless it is one of these. A wrong keep costs a line that search ranks
low; a wrong drop loses their words. So a sentence is dropped by signs that hold in any language (a question mark, no
word at all, brackets round a recogniser's noise), and by short lists where they are sure. The English rules ask for
words in an order that no other language has.
"""

from __future__ import annotations

import re
import unicodedata

_WH = "what|who|whom|whose|where|when|why|how|which"
_DO = "do|does|did|am|are|was|were|have|has|had|can|could|will|would|shall|should|may|might|must"
_WE = "i|you|we|they|he|she|it|there"
_QUESTION = re.compile(
    r"[?？؟]\W*$|^\W*¿"
    # where no mark is needed: Japanese, Chinese, Korean
    r"|(?:です|ます|でした|ました)か\W*$|[吗嗎]\W*$|까\W*$"
    # English turns verb and subject round: "where do i live", and not "when i was a child we lived in rome". A
    # statement without its subject begins with a verb as well: "Had a bypass in May".
    rf"|^(?:what|who|where|when|why|how)(?:'s|'re|n't)?(?: (?:is|{_DO}|about)\b|(?<=['s]s) |(?<='re) )"
    rf"|^(?:{_WH})(?: [^\s,]+){{0,3}} (?:(?:{_DO}) (?:{_WE})|is (?:it|he|she|there))\b"
    rf"|^(?:is|{_DO})(?:n't)? (?:{_WE}|this)\b|^(?:do|does|is|are|can|could|will|would|should) (?:my|your|our)\b"
    r"|^can't you\b|\bwhat$",
    re.IGNORECASE,
)
_BEFORE_THE_QUESTION = re.compile(r"^(.*\S)\s*[,;،、，]")
A_STATEMENT_BYTES = 18
"""As much as four short words, or six Chinese characters: a part of a sentence that is longer may say something."""

_ORDER = re.compile(
    r"^(?:please )*(?:(?:forget|delete|erase|wipe|(?:don't|do not) remember|stop remembering)\b"
    r"|(?:tell|show|give|remind|teach) (?:me|us) (?:what|who|where|when|why|how|which|if|about|of|everything|all|more|a"
    r"|an|the|some|something|again)\b"
    r"|(?:tell|show|give|say|repeat|explain|describe|listen|speak|talk|stop|wait|hang|hold|help|let|let's|pretend|ignore"
    r"|excuse|pardon|never mind|connect)\b(?!.*(?:\b(?:i|i'm|i've|we|my|our)\b|\d))(?: \S+){0,5}\W*$)",
    re.IGNORECASE,
)
# First person phrases that say nothing about the person, with a little after them: "i'm good" says nothing, "i'm good
# at chess" does.
_SMALL_TALK = re.compile(
    r"^(?:i (?:see|mean|know|think so|guess(?: so)?|hope so|understand|agree|suppose(?: so)?|said no|forgot"
    r"|don't know|do not know|don't think so|can't hear you|cannot hear you|can hear you|need (?:your )?help|got it"
    r"|(?:have|want to ask|would like to ask) a question|beg your pardon)"
    r"|i(?:'ve| have)? changed my mind"
    r"|(?:i'm|i am) (?:good|fine|okay|ok|sorry|here|back|done|ready|not sure|well|listening|great|all right|alright)"
    r"|my (?:bad|pleasure|god|goodness)|how are you|nice to meet you|see you|you're (?:right|welcome)"
    r"|that's (?:right|great|nice|good|fine)|that sounds \w+)"
    r"(?:[ ,]+(?:thanks|thank you|now|too|then|today|tomorrow|later|soon|really|that|it|you|yet|already|again|very|much"
    r"|so|why))*\W*$",
    re.IGNORECASE,
)
# A sentence of nothing but these says hello, goodbye, thanks, yes, no, or that somebody thinks.
_FILLERS = frozenset(
    """
    hello hi hey hiya good morning afternoon evening night bye goodbye cheers thanks thank you very much a lot so
    please yes yeah yep yup no nope nah ok okay sure right well alright all exactly maybe perhaps oh ah aha uh huh
    um hm hmm hmmm mhm mm erm er wow great cool nice fine there sorry and again to scratch that wait correction is
    hallo guten morgen tag abend danke bitte ja nein tschüss genau doch ähm hola buenos días buenas tardes noches
    muchas gracias por favor sí si adiós vale claro bonjour bonsoir salut merci oui non beaucoup d'accord euh voilà
    au revoir ciao buongiorno buonasera grazie prego certo arrivederci olá oi bom dia boa tarde noite obrigado
    obrigada sim não tchau claro привет здравствуйте спасибо да нет пока хорошо ладно ага cześć dzień dobry dziękuję
    tak nie dobrze merhaba selam teşekkürler teşekkür ederim evet hayır tamam नमस्ते धन्यवाद शुक्रिया हाँ हां जी
    नहीं अच्छा ठीक है مرحبا شكرا نعم لا حسنا السلام عليكم 你好 您好
    谢谢 好 好的 是 是的 不 不是 嗯 再见 こんにちは おはよう ありがとう ありがとうございます
    はい うん いいえ えっと 안녕하세요 감사합니다 네 아니요
    """.split()
)
_NOISE = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫][^♪♫]*")
_WORDS = re.compile(r"[^\s.,;:!?…·।。、，！؟،]+")


def is_question(sentence: str) -> bool:
    """Does the sentence ask, whether or not it ends with a question mark?"""
    return bool(_QUESTION.search(sentence))


def is_worthless(sentence: str) -> bool:
    """Is it surely nothing that the person would want to be remembered?"""
    said = unicodedata.normalize("NFC", _NOISE.sub("", sentence)).strip()
    return (
        not any(map(str.isalnum, said))
        or _FILLERS.issuperset(_WORDS.findall(said.casefold().replace("’", "'")))
        or bool(_SMALL_TALK.search(said) or _ORDER.search(said))
        or (is_question(said) and not _states_something_first(said))
    )


def _states_something_first(question: str) -> bool:
    """ "I'm allergic to nuts, is that a problem?" """
    before = _BEFORE_THE_QUESTION.search(question)
    return before is not None and len(before[1].encode()) >= A_STATEMENT_BYTES and not is_question(before[1])
