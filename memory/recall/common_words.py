"""Words that tell nothing by themselves: a sentence that has one in common with another need not speak of the same.

English ones by how often they are said, and what named facts are called after; of other languages the words that
stand in every sentence, and those that ask to forget. Who speaks a language that is not here says them often enough
that what they told otherwise has them too (see `memory.recall.redaction`).
"""

from __future__ import annotations

import re

from memory.recall.letters import letters
from memory.recall.words import stem

_ENGLISH = """
a about above address after again age ago all allergic allergy almost alone along already also although always am an
and animal another any anybody anymore anyone anything anyway are aren't around as ask asked at away back bad band be
because become been before began begin being believe below best better between big birthday book boss both boy brand
brother but buy by bye call called came can can't cannot care cat change child city code color colour come coming
company could couldn't country dad daughter day days delete did didn't different do does doesn't dog doing don't done
down drink during each early easy eat either else email end enough erase even ever every everybody everyone everything
fact family far father favorite favourite feel few film fine first food for forget forgot forgotten found friday
friend from full game gave get gets getting girl give given glad go goes going gone gonna good got great guy had
hadn't happen happy hard has hasn't have haven't having he hear heard hello help her here hey hi high him himself his
hobby home hope hour hours house how however husband i i'd i'll i'm i've if important in inside instead interesting
into is isn't it it's its job just keep kept kid kind knew know known language large last late later least leave left
less let let's life like liked likes little live lived lives living long look looking lot lots love loved loves low
made make makes making man many may maybe me mean meet mentioned might mind mine minute mom moment monday month months
more morning most mostly mother move moved movie much mum music must my myself name named near need needed needs never
new next nice night no nobody none nor not note nothing now number o'clock of off office often oh ok okay old on once
one only onto open or other others our out outside over own parent part partner password people perhaps person pet
phone pin place please point possible pretty probably put quite rather read ready real really remember remembered
right said same saturday saw say saying says school season second see seem seen set several shall she should since
sister size small so some somebody someone something sometimes son song soon sorry sort sound sounds speak spend spoke
sport start started still stop street stuff such sunday sure take taken talk talked talking team tell than thank
thanks that that's the their them then there these they thing things think third this those thought three through
thursday time times to today together told tomorrow tonight too took town tried true try tuesday turn two under
understand until up upon us use used usually very wait want wanted wants was wasn't way we we'd we'll we're we've
wednesday week weekend weeks well went were what what's when where which while who whole whose why wife will wiped
wish with within without woman won't wonderful word words work worked working works world would wouldn't wrong year
years yes yesterday yet you you'd you'll you're you've your yours zone
"""
_OTHERS = """
ich du er sie es wir ihr mich mir mein meine meinen meinem meiner dein deine sein seine ist bin bist sind war habe
hast hat haben hatte der die das den dem des ein eine einen einem einer und oder aber nicht kein keine auch noch nur
schon sehr mit von zu zum zur in im an am auf für aus bei nach über vor um als wie wenn dass weil man wird werde kann
muss will mag ja nein heisse heiße vergiss vergessen lösche bitte heute gern gerne
je tu il elle on nous vous ils elles me moi mon ma mes ton ta tes son sa ses votre vos notre le la les un une des du
de et ou mais ne pas plus que qui quoi est suis es sont ai as a avons avez ont était être avoir fait dans en au aux
sur pour par avec sans ce cette ces ça c'est j'ai n'est très aussi bien oui non oublie oubliez oublier supprime
appelle m'appelle
yo tú él ella nosotros ustedes mi mis tu tus su sus el los las lo uno una unos y o pero no es soy eres son está estoy
tengo tiene he ha que quien con sin para por del al en se te muy más también como cuando ya sí olvida olvide olvidar
borra llamo llama
eu ele ela nós você vocês meu minha meus minhas seu sua os as um uma uns e ou mas não é sou está estou tenho tem que
com sem para por do da dos das no na nos nas muito mais também como quando já sim esquece esqueça esquecer apaga chamo
io lui lei noi voi mio mia miei mie tuo tua suo sua il lo gli i le uno una e o ma non è sono sei ho hai abbiamo che
chi con senza per di del della dei in nel nella si ti molto più anche come quando già dimentica dimenticare cancella
chiamo
ik jij hij zij wij jullie mij mijn jouw zijn haar het een de en of maar niet geen ook nog is ben bent was heb heeft
met van naar voor op in uit bij om als dat die ja nee vergeet wis heet
я ты он она мы вы они меня мне мой моя мое мои твой ваш его ее и или но не да нет это что как где когда в на с к у о
по за из от для есть был была было очень тоже уже забудь забудьте забыть удали зовут
ja ty on ona my wy oni mnie mi moj moja moje twoj jest jestem sa mam ma i lub ale nie tak to co jak gdzie w na z do u
o po za dla bardzo tez juz zapomnij
ben sen o biz siz benim senin bir ve veya ama degil cok var yok da de mi unut
أنا أنت هو هي نحن لي عندي في من على إلى عن مع لا ما هذا هذه ذلك أن كان و أو لكن نعم جدا انس انسي اسمي
मैं मेरा मेरी मेरे मुझे तुम आप वह हम है हूं हूँ हैं था थी थे और या लेकिन नहीं में का की के को से पर यह भी बहुत हां भूल
जाओ नाम
나는 저는 내 제 나의 저의 너 그 이 것 은 는 있어요 입니다 이에요 예요 잊어 줘
"""
COMMON = frozenset(each for word in (_ENGLISH + _OTHERS).split() for each in (letters(word), stem(letters(word))))
"""As `letters` writes them, and down to their stems."""

BETWEEN = re.compile(
    # Chinese: who, whose, is, has, not, very, all, and, this, to forget
    "忘记|忘掉|请|我们|我|你|您|他|她|它|们|的|了|是|在|有|和|不|没|也|都|就|很|吗|呢|吧|会|要|个|说|到|给|对|与|这|那|什么|怎么"
    # Japanese: particles and the ends of sentences
    "|でした|です|ました|ます|ません|している|して|した|する|から|まで|だけ|という|こと|もの|忘れて|ください|私|僕"
    "|は|が|を|に|で|と|の|も|へ|や|か|よ|ね|だ"
    # Thai
    "|ฉัน|ผม|ดิฉัน|คุณ|เป็น|ที่|และ|ของ|ไม่|ได้|ว่า|ให้|มี|ไป|มา|ค่ะ|ครับ|จะ|กับ|ใน|ลืม"
)
"""What stands between the words that tell something, where a script puts no spaces."""
