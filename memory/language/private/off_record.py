"""Does a person ask that something be not remembered, and how much of what they say is that about?

Signs in several languages, where they are sure. English has many ways to ask for it, and as many that only look so: "I
don't remember that film", "he told me off the record", "don't keep me waiting".
"""

from __future__ import annotations

import re
from enum import Enum, auto

from memory.language.normal_form import written_out


class Stance(Enum):
    """What one sentence asks for."""

    NOTHING = auto()
    THIS = auto()
    """Not to remember what it is said with: "I don't want you to remember that I smoke"."""
    BEFORE = auto()
    """Not to remember what was said before it: "Don't remember that"."""
    FROM_HERE = auto()
    """To remember nothing until they take it back: "Off the record, ..."."""
    ALL_FROM_HERE = auto()
    """The same, and what it is said with neither: "I'm leaving him. That's off the record"."""
    BACK = auto()
    """To remember again: "Back on the record: ..."."""


# -- English

_POLITE = (
    r"(?:(?:please|kindly|and|but|so|oh|ok|okay|hey|no|also|just|actually|well"
    r"|now|sorry|rapport|look|listen|by the way)\b[\s,]*)*"
)
_DO_NOT = (
    r"(?:(?:i|we) (?:do not|would not|never) (?:want|wish|like|need)(?: for)? you to(?: ever)?"
    r"|(?:i would|i)(?: much)? (?:rather|prefer)(?: it)?(?: that"
    r"| if)? you (?:did not|do not|not|never|would not)(?: to)?"
    r"|(?:i|we) (?:ask|beg|want|would like|need|would prefer) you (?:not|never) to"
    r"|i am asking you not to|(?:do not|never|please not|try not to)(?: ever| you dare)?"
    r"|(?:can|could|would|will) you (?:please |maybe |kindly )(?:not|just not)|(?:could|would) you not"
    r"|you (?:must|should|shall|may|can|need) not(?: to| have to)?|you (?:do not|need not) (?:need to|have to)"
    r"|(?:there is )?no need to|i hope you (?:will not|do not)|make sure (?:you do not|not to)|better not"
    r"|it would be (?:better|good|nice|great) if you did not)"
)
_KEEP = (
    r"(?:remember|memori[sz]e|retain|(?:keep|save|store|record|note|log|write|put|hold on to|jot|file)(?: down)?"
    r"|(?:make|take|keep) (?:a )?(?:note|record|track)s? of)"
)
_REMEMBER = r"(?:remember|memori[sz]e|retain)"
_WHAT = (
    r"(?:(?:that|this|it|these|those)(?: (?:information|detail|part|fact|conversation|thing)s?)?|any of (?:this|that"
    r"|it)|all (?:this|that)|(?:what|the (?:thing|part|bit)|anything|everything) i (?:just "
    r"|have )?(?:said|told you|mentioned)|what i (?:am saying|say))"
)
_WHERE = (
    r"(?:[\s,]+(?:down|away|anywhere|please|okay|ok|now|either|at all"
    r"|for me|for later|though|thanks|thank you|from me|in mind|(?:in"
    r"|into|to|on) (?:your |the )?(?:memory|memories|notes?|file|files"
    r"|records?|history|head|system|profile)|about me|ever|will you"
    r"|would you|part|bit|thing|one|last))*"
)
_CLAUSE = r"(?:i|my|we|our|me|he|she|they|his|her|their|about|the fact|how|someone|somebody|what i|anything|whatever)\b"

_NOT_A_SHOP = r"(?! (?:store|shop|player|label|company|sleeve|collection|deal)s?\b)"
_TOLD = (
    r"(?:said|says|told|spoke|spoken|speaks|talks?|talked|asked|asks"
    r"|admitted|mentioned|never|not|journalists?|was once)"
)
_RECORD = rf"off the record{_NOT_A_SHOP}"
_NOTHING_MORE = (
    r"(?:stop|quit|pause|cease)(?: with)? (?:all )?(?:the )?(?:remembering"
    r"|recording|saving|storing|logging|memori[sz]ing|taking notes"
    r"|keeping (?:notes|track|a record)|note taking)(?: (?:what i (?:say"
    r"|tell you)|this|that|it|anything|things|everything|me|my words"
    r"|what i am saying))?"
)
_AHEAD = (
    r"(?:anything|any of what|a (?:word|thing)|what|any word|nothing)(?: of what)?(?: that)? (?:i"
    r"|we) (?:say|tell you|am (?:about|going) to (?:say|tell you)|will (?:say"
    r"|tell you)|say (?:now|next))"
)

_NOT_WANTED = (
    rf"(?:i|we) (?:do|would) not (?:want|like) (?:{_WHAT} (?:to be )?(?:remembered|saved|stored|kept|recorded|noted"
    rf"|written down"
    rf"|on (?:the )?record)|you (?:keeping|remembering|saving|storing|recording|noting|memori[sz]ing) {_WHAT})"
)

_ENGLISH: tuple[tuple[Stance, str], ...] = (
    (Stance.FROM_HERE, rf"^{_POLITE}i (?:would like|want|need|have) to (?:go|speak|talk|be) {_RECORD}"),
    (Stance.FROM_HERE, rf"^{_POLITE}remember nothing\b"),
    (Stance.FROM_HERE, rf"\bsomething (?:that |which )?you (?:should|must|may|can) not {_KEEP}\b"),
    (Stance.FROM_HERE, rf"^(?:\W|ceci|c'est|das|dies|esto|isto|isso|questo|dit|est|ist|es|é|è|is|это)+{_RECORD}"),
    (Stance.BEFORE, rf"^{_POLITE}strike {_WHAT} from the (?:record|notes|memory){_WHERE}\W*$"),
    (Stance.BEFORE, rf"^{_POLITE}{_NOT_WANTED}{_WHERE}\W*$"),
    (Stance.THIS, rf"(?:^|[,;:] |\b(?:and|but|so) ){_POLITE}{_NOT_WANTED}(?=[,:;]| but|$)"),
    (Stance.THIS, rf"^{_POLITE}(?:this|that|it) is not something (?:that )?you (?:should|need to|have to|must) {_KEEP}\b"),
    (Stance.FROM_HERE,
        rf"^{_POLITE}(?:(?:strictly|completely|totally|just|this is|this part is"
        rf"|it is|what (?:comes|follows) (?:now )?is|the next (?:part"
        rf"|bit|thing|sentence)s? (?:is|are)|what i am (?:about|going) to (?:say"
        rf"|tell you) is|let us (?:go|speak|talk)|we are|i am|i am speaking"
        rf"|speaking|i am going|going|go|(?:can|could|may|shall) (?:we"
        rf"|i) (?:go|speak|talk|be)) )*(?:now )?{_RECORD}",
    ),
    (Stance.FROM_HERE,
        rf"^{_POLITE}(?:(?:can|could|may|let me|i want to|i would like to"
        rf"|i need to|i will|i have to) )?(?:i )?(?:tell|say|ask|share"
        rf"|confess|add)(?: to)?(?: you)? (?:something|this|a thing|that"
        rf"|one thing|a secret) {_RECORD}",
    ),
    (Stance.FROM_HERE,
        rf"\bfrom (?:now|here) on\b.*\b(?:remember nothing|(?:{_DO_NOT}) {_KEEP} (?:anything"
        rf"|a thing|what i))",
    ),
    (Stance.FROM_HERE, rf"^{_POLITE}{_DO_NOT} {_KEEP} {_AHEAD}(?! (?:yesterday|before|earlier|last))"),
    (Stance.FROM_HERE,
        rf"^{_POLITE}{_DO_NOT} {_KEEP} (?:anything|a thing)(?: (?:from"
        rf"|for|right|until|till|about|of|i|we|now|more|any)\b.*)?\W*$",
    ),
    (Stance.FROM_HERE,
        rf"^{_POLITE}(?:(?:can|could|will|would) you )?(?:please )?{_NOTHING_MORE}(?: (?:for (?:now"
        rf"|a (?:moment|while|minute|bit)|the moment)|now|from (?:now"
        rf"|here) on|please|until .*|okay))*\W*$",
    ),
    (Stance.FROM_HERE,
        rf"^{_POLITE}(?:forget|ignore) (?:everything |all )?(?:that )?(?:what )?i am (?:about"
        rf"|going) to (?:say|tell you)",
    ),
    (Stance.FROM_HERE,
        r"\b(?:nothing|none) (?:of )?(?:that |what )?i (?:say|tell you)\b.*\b(?:remembered"
        r"|kept|saved|stored|recorded|written down)\b",
    ),
    (Stance.FROM_HERE,
        r"\b(?:next|following) (?:part|bit|thing|sentence|minutes?)\b.*\b(?:must"
        r"|should|may|can|is|are)(?: not)? (?:to )?(?:not )?(?:be )?(?:remembered"
        r"|kept|saved|stored|recorded)\b",
    ),
    (Stance.BEFORE,
        rf"^{_POLITE}(?:that|what i (?:just )?said|the last (?:bit|part"
        rf"|thing))(?: (?:is|was|were|should (?:be|stay|remain)|must (?:be"
        rf"|stay|remain)|stays|remains))?(?: strictly| all)? {_RECORD}\W*$",
    ),
    (Stance.ALL_FROM_HERE,
        rf"^(?!.*\b{_TOLD}\b.*{_RECORD}).*(?:\b(?:this|it|we|that|let us"
        rf"|let this|all this|i am (?:telling|saying) (?:you )?(?:this"
        rf"|that|it))\b[^.]*\b{_RECORD}|, {_RECORD}\W*$)",
    ),
    (Stance.BEFORE, rf"^{_POLITE}{_DO_NOT} {_KEEP} {_WHAT}{_WHERE}\W*$"),
    (Stance.BEFORE,
        rf"^{_POLITE}(?:keep|leave|put) {_WHAT} out of (?:your|the) (?:memory"
        rf"|memories|notes|records?|files?){_WHERE}\W*$",
    ),
    (Stance.BEFORE,
        rf"^{_POLITE}{_WHAT} (?:must|should|may|can|need|is)(?: not|)(?: to)?(?: not)? be (?:remembered"
        rf"|kept|saved|stored|recorded|written down|noted){_WHERE}\W*$",
    ),
    (Stance.BEFORE,
        rf"^{_POLITE}(?:(?:can|could|will|would) you )?(?:please )?(?:forget"
        rf"|delete|erase|strike|unhear|remove)(?: that)? (?:i (?:ever "
        rf"|just )?(?:said|mentioned|told you)(?: (?:that|this|it|anything"
        rf"|so))?|what i (?:have )?(?:just )?(?:said|told you)|(?:that"
        rf"|my|the) last (?:sentence|bit|part|thing|statement|remark"
        rf"|message)(?: (?:of mine|i said|that i said))?){_WHERE}\W*$",
    ),
    (Stance.THIS,
        rf"^{_POLITE}{_DO_NOT} {_KEEP} (?:(?:this|that)(?: (?:information|part|fact))?|it|what follows)(?: down)?"
        rf"(?:,|:| -| (?=(?:{_CLAUSE})))",
    ),
    (Stance.THIS, rf"^{_POLITE}forget (?:that )?i (?:ever )?(?:said|mentioned|told you) (?:that|this|it|anything)\b[,;:]"),
    (Stance.THIS,
        rf"^{_POLITE}(?:(?:(?:this|that|it|what i (?:say|tell you)) (?:has to |must |should |will )?(?:stays?|remains?|is)"
        r"|(?:let us |we |you |can you |can we )?keep (?:this|that|it)|just|strictly|only) between (?:us|ourselves"
        r"|you and me|you and i|the two of us)\b|between (?:ourselves|you and me|you and i)[,:])",
    ),
    (Stance.THIS,
        rf"(?:^|[,;:] |\b(?:and|but) ){_POLITE}(?!(?:do not|never) )(?:{_DO_NOT}) {_REMEMBER} (?:that"
        rf"|this|it|what|how|when|where|who|why|which|about|the|my|our"
        rf"|me|i|anything|any|him|her|them)\b",
    ),
    (Stance.THIS, rf"^{_POLITE}please (?:do not|never) {_REMEMBER} "),
    (Stance.THIS,
        rf"^{_POLITE}(?:do not|never) {_REMEMBER} (?:(?:that )?i|(?:that"
        rf"|this|it|about) (?:i|my|we|our|me)\b|about (?:this|that))\b",
    ),
    (Stance.THIS, rf"(?:[,;:] |\b(?:and|but|so) ){_POLITE}{_DO_NOT} {_KEEP} {_WHAT}{_WHERE}\W*$"),
    (Stance.THIS, rf"^{_POLITE}(?:this is )?not for (?:the|your) (?:records?|memory|notes?|files?)\b"),
    (Stance.THIS,
        rf"(?:[,;:] |\b(?:and|but|so) ){_POLITE}{_WHAT} (?:must|should"
        rf"|may|can) not be (?:remembered|kept|saved|stored|recorded"
        rf"|written down)",
    ),
)  # fmt: skip
_BACK_EN = (
    r"(?:(?<!not )\b(?:back|again|now|go|going) on (?:the )?record\b(?! (?:store|shop|player)s?\b)|^(?:(?:and"
    r"|okay|ok|so|now|right|we are|i am|this is|let us go|go) )*on the record(?: again"
    r"| now)?\b"
    r"|\byou (?:can|may|could|are allowed to|are free to) (?:now )?(?:\w+ )?(?:remember"
    r"|record|save|keep|take|write|note|store|listen)\b(?: \w+){0,4} (?:again"
    r"|now|from (?:now|here) on)\b"
    r"|^(?:(?:and|okay|ok|so|now|right|please|you can|you may) )*(?:start"
    r"|resume|begin|continue|go on|go back to) (?:to )?(?:remember"
    r"|record|sav|keep|tak|stor)(?:ing)?\b(?: (?:things|notes|everything"
    r"|this|what i say|it|me))?(?: again)?"
    r"|^(?:(?:and|okay|ok|so|now|right|please|you can|you may) )*(?:remember"
    r"|record|save|note) (?:things|everything|this|what i say) again\b"
    r"|\bno longer off the record\b|\bnot off the record any ?more\b"
    r"|\boff the record (?:is over|part is over|ends here)\b)"
)

# -- others: what asks for it in a sentence; alone, it is about what was said before

_OTHERS = r"""
    \b(?:das|es) (?:bleibt|muss) (?:bitte )?unter uns\b|\bbehalte? das (?:bitte )?für dich\b|\breste entre nous\b|\bgarde ça pour toi\b
    \bqued[ae] entre (?:nosotr[oa]s|tú y yo)\b|\brest[ai] tra (?:(?:di )?noi|me e te)\b|\bfi(?:ca|que) entre nós\b
    \b(?:blijft|hou dit|houd dit) (?:onder ons|tussen ons|voor je)\b|\bстрого между нами|\bпусть это останется между нами
    \bvergiss,? (?:bitte )?(?:alles, )?was ich (?:gerade |eben |dir )*(?:gesagt|erzählt)(?: habe)?|^(?:\W|bitte)*(?:speichere?|notiere?|behalte?) (?:bitte |dir |das |dies(?:es)? |es )*nicht\b
    \boublie[zr]? ce que (?:je viens de|j'ai) (?:te |vous )?(?:dire|dit)|\bolvid[ae] lo que (?:acabo de decir|he dicho|dije)
    \besque(?:ce|ça) o que (?:eu )?(?:acabei de dizer|disse)|\bdimentica (?:quello|ciò) che ho (?:appena )?detto
    \bvergeet wat ik (?:net |zojuist )?(?:zei|heb gezegd)|\bзабудь(?:те)?,? (?:то,? )?что я (?:только что )?сказала?
    今言ったこと(?:は|を)忘れて|忘(?:记|掉|了)?我刚才?说的话?
    जो मैंने (?:अभी )?कहा[^।]*भूल जा[\u0900-\u097f]*|ان?س(?:ى|ي)? ما قلته?(?: للتو)?
    \bmerke? (?:dir|euch)\b[^.]*\b(?:nicht|bloß nicht|ja nicht)\b|\bmerken sie sich\b[^.]*\bnicht\b
    \b(?:speichere?|speichern sie|notiere?|behalte?|schreibe?|zeichne?)\b (?:dir )?(?:das|dies|dieses|es)\b[^.]*\bnicht\b
    \bbitte nicht (?:merken|speichern|aufschreiben|aufzeichnen|notieren|mitschreiben|behalten)\b
    \b(?:will|möchte|wünsche|mag) nicht,? dass (?:du|sie|ihr)\b[^.]*\b(?:merkst|merken|merkt|speicherst|speichern|behältst|behalten|erinnerst|erinnern|notierst|aufzeichnest|aufschreibst|weißt)\b
    \bdu (?:sollst|musst|brauchst|darfst) (?:dir )?[^.]*\b(?:nicht|nichts davon) (?:zu )?(?:merken|speichern|behalten|notieren|aufschreiben|aufzeichnen)\b
    ^(?:\W|s'il te plaît|mais|et|non|alors)*n(?:e |'|’)(?:(?:le |la |l'|les |t'en |te |vous )+)?(?:retiens|retenez|mémorise|mémorisez|enregistre|enregistrez|note|notez|garde|gardez|souviens|souvenez|écris|écrivez)\b[^.]*\b(?:pas|rien)\b
    \bje (?:ne )?(?:veux|voudrais|souhaite|préfère) (?:pas )?que (?:tu|vous) (?:ne )?(?:te |vous |t')?(?:souviennes|souveniez|retiennes|reteniez|mémorises|mémorisiez|gardes|gardiez|enregistres|enregistriez|notes|notiez|rappelles)\b
    \bno (?:lo |la |te |me |se )?(?:recuerdes|guardes|memorices|anotes|apuntes|registres|grabes|acuerdes|almacenes)\b
    \bno quiero que (?:lo |te |se |usted )*(?:recuerde|guarde|memorice|anote|apunte|registre|grabe|acuerde)s?\b
    \bnão (?:te |se )?(?:lembres|guardes|memorizes|anotes|registes|registres|graves|lembre|guarde|memorize|anote|registre|grave)\b
    \bnão quero que (?:você |tu )?(?:se |te )?(?:lembre|guarde|memorize|anote|registre|grave|recorde)s?\b
    ^(?:\W|per favore|ti prego|ma|e|no)*non (?:lo )?(?:ricordare|ricordarti|ricordartelo|memorizzare|memorizzarlo|salvare|salvarlo|annotare|annotarlo|registrare|registrarlo|segnare|segnarlo|segnartelo|scriverlo)\b
    \bnon voglio che (?:tu )?(?:lo |ti |te lo )?(?:ricordi|memorizzi|salvi|annoti|registri|segni|tenga|scriva)\b
    ^(?:\W|alsjeblieft|maar|en|nee)*(?:onthoud|bewaar|noteer|registreer|sla|schrijf)\b[^.]*\b(?:niet|niets)\b
    \b(?:wil|zou) niet dat (?:je|jij|u)\b[^.]*\b(?:onthoudt|bewaart|opslaat|noteert|herinnert|weet)\b
    \bне (?:надо |нужно |стоит )?(?:запоминай(?:те)?|сохраняй(?:те)?|записывай(?:те)?|помни(?:те)?|запоминать|сохранять|записывать) ?(?:это|этого|про|что|о|об|пожалуйста|,|$)
    \bне (?:хочу|хотела?(?: бы)?),? чтобы (?:ты|вы)\b[^.]*\b(?:запомина|запомни|помни|сохран|запис)
    (?:覚え|記憶し|保存し|記録し|メモし)(?:ないで|なくて(?:も)?(?:いい|大丈夫)|ないように|てほしくない|ておかないで|て欲しくない)|(?:記憶|記録|保存|メモ)(?:は)?しない(?:で|よう)
    (?:不要|别|別|不用|不必|请勿|請勿|不想让你|不想要你|不想你|不希望你)(?:把[^。，]*|再|去)?(?:记住|記住|记下|記下|记录|記錄|保存|记得|記得|存下|存档)
    (?:याद|रिकॉर्ड|सेव|नोट|दर्ज) (?:मत|न|ना|नहीं) (?:रख|कर|कीज)[\u0900-\u097f]*|(?:मत|न) (?:याद रख|रिकॉर्ड कर|सेव कर)
    नहीं चाहत[ाीे] कि (?:तुम|आप)[^।]*(?:याद|सेव|रिकॉर्ड)
    ^\W*(?:من فضلك |أرجوك |رجاء )*لا (?:تتذكر|تتذكري|تحفظ|تحفظي|تسجل|تسجلي|تخزن|تخزني|تدون)(?:ي)?(?: |$)(?:هذا|ذلك|أن|أنني|أني|ما|شيئا|$)
    لا أريد(?:ك)? (?:منك )?أن (?:تتذكر|تحفظ|تسجل|تخزن|تدون)
    \bnie (?:zapamiętuj|zapisuj|zapamiętujcie|notuj)\b|\bnie chcę,? żebyś\b[^.]*\b(?:pamięta|zapamięt|zapis)
    \b(?:bunu|şunu|söylediğimi|bunları)\b[^.]*\b(?:hatırlama|kaydetme|aklında tutma|not alma)\b
    hatırlamanı istemiyorum|kaydetmeni istemiyorum
    (?:기억|저장|기록|메모)하지 (?:마|말|않)[가-힣]*
"""
_OTHERS_FROM_HERE = r"""
    ^(?:\W|also|ganz|jetzt|mal)*(?:inoffiziell|ohne protokoll|nicht fürs protokoll)\b
    \b(?:ab jetzt|von jetzt an|ab sofort)\b[^.]*\b(?:nichts|nicht)\b[^.]*\b(?:merken|speichern|aufzeichnen|mitschreiben)\b
    \bmerke? dir (?:jetzt |ab jetzt |bitte )*nichts\b
    \bhöre? auf,?[^.]*\b(?:merken|speichern|aufzuzeichnen|mitzuschreiben)\b
    ^(?:\W|alors|bon)*(?:en off|hors micro|hors antenne)\b
    \b(?:à partir de maintenant|désormais)\b[^.]*\bne (?:retiens|enregistre|note|garde)[^.]*\brien\b
    \barrête (?:d'enregistrer|de noter|de mémoriser)\b
    ^(?:\W|bueno|pues)*(?:extraoficialmente|fuera de micrófono|fuera de registro)\b
    \ba partir de ahora\b[^.]*\bno (?:guardes|recuerdes|grabes|anotes)\b
    \bdeja de (?:grabar|guardar|recordar|anotar)\b
    ^(?:\W|bom|olha)*(?:em off|extraoficialmente)\b|\ba partir de agora\b[^.]*\bnão (?:guarde|lembre|grave|anote)s?\b
    \b(?:para|pare|pára) de (?:gravar|guardar|anotar|memorizar)\b
    ^(?:\W|allora|beh)*(?:in via ufficiosa|ufficiosamente|fuori onda)\b
    \bd'ora in poi\b[^.]*\bnon (?:ricordare|salvare|registrare|annotare)\b
    \bsmetti di (?:registrare|salvare|annotare|memorizzare)\b
    \bvanaf nu\b[^.]*\b(?:niets|niet)\b[^.]*\b(?:onthouden|bewaren|opslaan|noteren)\b
    \bstop met (?:onthouden|opnemen|opslaan|noteren)\b
    (?:не для протокола|не под запись|не для записи|без протокола)
    \bс этого момента\b[^.]*\bне (?:запомина|записыва|сохраня)
    \bперестань(?:те)? (?:запоминать|записывать|сохранять)\b
    オフレコ(?!は?(?:終|おわ|ここまで|解除|もう))|ここからは?(?:記録|記憶|保存|メモ)しないで
    (?:私下(?:说|說|讲)|非正式地(?:说|說)|从现在开始[^。]*(?:不要|别)[^。]*(?:记|保存)|接下来[^。]*(?:不要|别)(?:记|保存)|停止(?:记录|記錄))
    ऑफ द रिकॉर्ड|अब से[^।]*(?:याद|रिकॉर्ड|सेव) (?:मत|न)|(?:रिकॉर्ड|सेव|याद) करना बंद
    (?:بشكل غير رسمي|خارج التسجيل|ليس للتسجيل|بدون تسجيل|خارج السجل)|من الآن[^.]*لا (?:تتذكر|تحفظ|تسجل)
    توقف عن (?:التسجيل|الحفظ|التذكر)
    ^\W*(?:nieoficjalnie|poza protokołem)\b|^\W*(?:kayıt dışı)\b|(?:비공식적으로|오프 ?더 ?레코드)
"""
_OTHERS_BACK = r"""
    \b(?:darfst|kannst|können|dürfen)\b[^.]*\bwieder\b[^.]*\b(?:merken|speichern|aufzeichnen|mitschreiben|notieren|erinnern|behalten)\b
    \bwieder (?:offiziell|fürs protokoll)\b
    \b(?:peux|pouvez)\b[^.]*\b(?:de nouveau|à nouveau|recommencer à)\b
    \b(?:peux|pouvez)\b[^.]*\b(?:retenir|enregistrer|noter|mémoriser|souvenir)\b[^.]*\b(?:de nouveau|à nouveau|maintenant)\b
    \bfin du off\b|\bon n'est plus en off\b
    \b(?:puedes?|podéis)\b (?:ya )?volver a (?:recordar|guardar|grabar|anotar|memorizar)
    \b(?:puedes?)\b[^.]*\b(?:recordar|guardar|grabar|anotar)\w*\b[^.]*\b(?:otra vez|de nuevo|ya)\b
    \b(?:podes?|pode)\b (?:já )?voltar a (?:lembrar|guardar|gravar|anotar|memorizar)
    \b(?:podes?)\b[^.]*\b(?:lembrar|guardar|gravar|anotar)\b[^.]*\b(?:de novo|outra vez|novamente)\b
    \bpuoi\b[^.]*\b(?:di nuovo|tornare a|ricominciare a)\b
    \bpuoi\b[^.]*\b(?:ricordar|registrar|salvar|annotar)\w*[^.]*\b(?:di nuovo|adesso)\b
    \b(?:mag|kunt|kan)\b[^.]*\bweer\b[^.]*\b(?:onthouden|bewaren|opslaan|noteren|meeschrijven)\b
    (?:снова|опять)[^.]*(?:запомина|записыва|сохраня|помни|под запись)
    (?:мож|теперь)[^.]*(?:запомина|записыва|сохраня)[^.]*(?:снова|опять)
    オフレコは?(?:終わり|おわり|ここまで|解除)|(?:また|もう|再び)(?:覚え|記録し|記憶し|保存し|メモし)て(?:いい|も|くだ|ほし)
    (?:可以|又可以)(?:重新|再次|继续|又)?(?:记|保存|记录)[^。]*了?|恢复(?:记录|记忆)|重新(?:开始)?(?:记录|记住)
    (?:फिर से|दोबारा|वापस)[^।]*(?:याद रख|रिकॉर्ड कर|सेव कर)
    (?:يمكنك|تستطيع)[^.]*(?:مجددا|مجدداً|مرة أخرى|من جديد|ثانية)|عدنا (?:إلى|للتسجيل)
    \bmożesz\b[^.]*\bznowu\b|\btekrar (?:hatırla|kaydede)|다시 (?:기억|저장|기록)해도
"""
# What may stand beside a sign that is about what was said before: "merk dir das bitte nicht".
_POINTING = re.compile(
    r"\b(?:das|dies|es|bitte|ça|cela|ceci|ce que (?:je viens de dire|j'ai dit)|s'il te plaît|s'il vous plaît|esto|eso"
    r"|por favor|isso|isto|disso|questo|quello|per favore|dit|dat"
    r"|alsjeblieft|op|это|этого|пожалуйста|lo que (?:acabo de decir"
    r"|dije)"
    r"|was ich (?:gerade )?gesagt habe|o que (?:eu )?(?:acabei de dizer"
    r"|disse)|tego|proszę|lütfen|bunu|de|di|wat ik zei)\b"
    r"|これ|それ|今の|いまの|こと|は|を|ください|下さい|ね|这个|這個|那个|这|那|刚才说的|请|了|हाँ"
    r"|यह|इसे|ये|उसे|कृपया|هذا|ذلك|ما قلته|من فضلك|رجاء|이거|이건|그거",
    re.IGNORECASE,
)  # fmt: skip
_LETTER = re.compile(r"[^\W_]")
_A_THING_BYTES = 12
"""As much before a sign says what is not to be remembered."""


def _compiled(table: str) -> list[re.Pattern[str]]:
    return [re.compile(line.strip(), re.IGNORECASE) for line in table.strip().splitlines()]


_RULES = [(stance, re.compile(pattern, re.IGNORECASE)) for stance, pattern in _ENGLISH]
_AHEAD_RULES = [(stance, pattern) for stance, pattern in _RULES if stance is Stance.FROM_HERE]
_BACK = [re.compile(_BACK_EN, re.IGNORECASE), *_compiled(_OTHERS_BACK)]
_FROM_HERE, _THIS = _compiled(_OTHERS_FROM_HERE), _compiled(_OTHERS)
_PAUSE = ".,:;!—–-。、，："
_SPELLED = tuple(
    (re.compile(pattern), spelled)
    for pattern, spelled in (
        (r"\b(must|need)(?:n't|nt)\b", r"\1 not"),
        (r"\bo(?:f|ff)[- ]the[- ]record\b", "off the record"),
        (r"^off record(?=[:,])", "off the record"),
        (r"\bon-the-record\b", "on the record"),
    )
)


def stance_of(sentence: str) -> Stance:
    """What one sentence of a person asks for."""
    said = written_out(" ".join(sentence.replace("’", "'").lower().split()))
    if "off-the-record " in said:  # "off-the-record talks"
        return Stance.NOTHING
    for pattern, spelled in _SPELLED:
        said = pattern.sub(spelled, said)
    ahead, others = (
        next((stance for stance, pattern in rules if pattern.search(said)), None) for rules in (_AHEAD_RULES, _RULES)
    )
    if ahead:
        return ahead
    if any(pattern.search(said) for pattern in _BACK):
        return Stance.BACK
    if others:
        return others
    return Stance.FROM_HERE if any(pattern.search(said) for pattern in _FROM_HERE) else _of_others(said)


def _of_others(said: str) -> Stance:
    found = next(filter(None, (pattern.search(said) for pattern in _THIS)), None)
    if found is None:
        return Stance.NOTHING
    before, after = (_POINTING.sub("", part) for part in (said[: found.start()], said[found.end() :]))
    says = _LETTER.search(after) or len(before.strip().encode()) >= _A_THING_BYTES
    return Stance.THIS if says else Stance.BEFORE


def after_back(sentence: str) -> str:
    """What a sentence says once it is back on the record: "Back on the record: I like jazz." """
    ends = [found.end() for pattern in _BACK if (found := pattern.search(sentence))]
    rest = sentence[ends[0] :].lstrip() if ends else ""
    return rest.lstrip(_PAUSE + " ") if rest[:1] in _PAUSE else ""
