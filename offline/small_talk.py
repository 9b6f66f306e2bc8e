"""What one says without knowing anything."""

from __future__ import annotations

import re

OFFLINE = "I am the offline voice, so I only know what you have told me."


def reply(said: str, reply_before: str) -> str:
    """The reply to a phrase that needs no knowledge; "" if this is none. `said` has no contractions and no marks."""
    if not said:
        return "I am listening."
    if _AGAIN.fullmatch(said):
        return f"I said: {reply_before}" if reply_before else "I have not said anything yet."
    return next((reply for pattern, reply in _REPLIES if pattern.fullmatch(said)), "")


def _phrases(phrases: str, *, before: str = "", after: str = "") -> re.Pattern[str]:
    """Any of these phrases, with any number of the words `before` and `after` it; alternatives are split by "|"."""
    opening = f"(?:(?:{before}) )*" if before else ""
    ending = f"(?: (?:{after}))*" if after else ""
    return re.compile(f"{opening}(?:{phrases}){ending}", re.IGNORECASE)


_AGAIN = _phrases(
    "what|pardon|what was that|what did you (?:just )?say|say (?:that|it) again|repeat(?: that| it)?|come again"
    "|(?:can|could) you (?:please )?(?:repeat|say)(?: that| it)?|i did not (?:hear|get|catch) (?:you|that)",
    before="sorry|excuse me|please",
    after="please|again|sorry",
)

_REPLIES = (
    (
        _phrases(
            "stop|stop (?:it|that|talking|speaking)|be quiet|quiet|shut up|silence|hush|pause|hold on|wait"
            "|one moment|just a moment|that is enough|enough",
            before="please|okay|ok|no",
            after="please|now|for a moment|a (?:second|moment|minute)",
        ),
        "Okay, I will be quiet.",
    ),
    (
        _phrases(
            r"(?:good ?)?bye|bye bye|see you|see you \w+|good night|talk to you (?:later|soon|tomorrow)"
            r"|i (?:have to|must|need to) go|i am leaving|that is all|have a (?:nice|good) \w+",
            before="well|okay|ok|so|thanks|thank you|and",
            after=r"now|then|rapport|for now|for today|again|thanks|thank you|(?:good ?)?bye",
        ),
        "Goodbye. It was good to talk to you.",
    ),
    (
        _phrases(
            "thank you|thanks|thanks a lot|many thanks|cheers",
            before="okay|ok|great|no|yes|alright|good",
            after=r"so much|very much|rapport|again|a lot|and|(?:good ?)?bye|that is all|for (?!me$).+",
        ),
        "You are welcome.",
    ),
    (
        _phrases(
            "how are you|how are you doing|how do you do|how is it going|how are things|what is up|how do you feel"
            "|are you (?:okay|well)",
            before="hello|hi|hey|there|okay|and|so|well|good (?:morning|afternoon|evening)|rapport",
            after=r"today|doing|rapport|this \w+|right now",
        ),
        "I am fine, thank you. How are you?",
    ),
    (
        _phrases(
            "(?:(?:i am|i feel|we are|it is) )?(?:doing )?"
            "(?:fine|good|great|okay|very well|well|not bad|all right|alright)",
            before="well|oh|thanks|thank you",
            after="thank you|thanks|too|today|as well|and you|and how are you|how (?:are|about) you|what about you",
        ),
        "Good to hear.",
    ),
    (
        _phrases(
            "hello|hi|hey|good (?:morning|afternoon|evening|day)|greetings|howdy",
            after="hello|hi|there|rapport|again|everyone|my friend|good (?:morning|afternoon|evening)",
        ),
        "Hello. What would you like to tell me?",
    ),
    (
        _phrases(
            "(?:it is )?(?:nice|good|great|pleased) to (?:meet|see|hear|talk to|hear from) you",
            after="too|again|rapport",
        ),
        "It is good to talk to you, too.",
    ),
    (
        _phrases(
            "(?:who|what) are you|what is your name|tell me about yourself|introduce yourself|what are you called"
            "|who am i (?:talking|speaking) (?:to|with)|do you have a name|tell me your name",
            before="so|and|hello|hi|hey|okay|please",
        ),
        "I am Rapport. I remember what you tell me, and only for you.",
    ),
    (
        _phrases(
            "what can (?:you|i) (?:do|ask|say)|help|(?:can you )?help me|how (?:do you|does this) work",
            before="so|and|hello|hi|okay|please",
            after="for me|you|please",
        ),
        "Tell me something about you, ask me about it later, or ask me to forget it.",
    ),
    (
        _phrases(
            "(?:can|may|could) i (?:ask|tell|say)(?: you)?(?: something| a question| anything| one thing)?"
            "|i have (?:a|another|one more) question|i want to (?:ask|tell) you something",
            before="hello|hi|so|and|okay|but",
        ),
        "Of course, go ahead.",
    ),
    (
        _phrases(
            "are you (?:still )?(?:there|listening)|(?:can|do) you hear me|is (?:anyone|anybody|someone) there"
            "|test|testing",
            before="hello|hi|hey",
            after="now|one two three|rapport",
        ),
        "Yes, I can hear you.",
    ),
    (
        _phrases(
            "(?:i am )?sorry|my apologies|excuse me|pardon me|oops|i do not (?:know|understand|care|get it)"
            "|i am not sure|no idea|maybe|never ?mind|forget (?:about )?it",
            before="oh|okay|well|no|but",
        ),
        "That is all right.",
    ),
    (
        _phrases(
            "okay|ok|alright|all right|right|sure|good|great|nice|cool|wow|perfect|awesome|i see|got it|yes|yeah|yep"
            "|no|nope|not now|um+|uh+|er+|hmm+|mm+|well|so|and|oh|ah|aha|really|of course|you know"
            "|let me (?:think|see)",
            after=r"okay|ok|then|yes|no|um+|uh+|good|great|please|that is \w+|right|so|well",
        ),
        "I am listening.",
    ),
)
