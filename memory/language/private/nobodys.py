"""What stands in a turn of the person, and nobody said: the agent itself heard back, and what recognisers invent.

It stays in the transcript, since the agent has answered it. It is no statement of the person.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

from memory.language.sentences import sentence_places, sentences

# Recognisers were taught with subtitles of videos, and hear in silence what such videos end with. Each is a whole
# utterance without its marks; nothing is here that a person would tell.
_INVENTED = frozenset(
    """
    thanks for watching
    thank you for watching
    thank you so much for watching
    thanks for watching and see you next time
    thanks for watching and i'll see you in the next video
    thanks for watching don't forget to like and subscribe
    i'll see you in the next video
    i will see you in the next video
    see you in the next video
    see you in the next one
    see you next time bye
    i hope you enjoyed this video
    i hope you enjoyed the video
    please subscribe
    please subscribe to my channel
    please subscribe to the channel
    please like and subscribe
    like and subscribe
    don't forget to like and subscribe
    don't forget to subscribe
    subtitles by the amara.org community
    subtitles by amara.org
    transcription by castingwords
    transcribed by otter.ai
    transcribed by https://otter.ai
    untertitel im auftrag des zdf
    untertitel im auftrag des zdf für funk
    untertitel der amara.org-community
    untertitelung des zdf
    untertitelung des zdf für funk
    untertitelung aufgrund der amara.org-community
    untertitelung im auftrag des zdf
    vielen dank fürs zuschauen
    vielen dank für's zuschauen
    danke fürs zuschauen
    vielen dank für die aufmerksamkeit
    bis zum nächsten video
    sous-titres réalisés par la communauté d'amara.org
    sous-titres réalisés para la communauté d'amara.org
    sous-titrage société radio-canada
    sous-titrage st' 501
    merci d'avoir regardé cette vidéo
    merci d'avoir regardé
    abonnez-vous
    abonnez-vous à la chaîne
    à la prochaine vidéo
    subtítulos realizados por la comunidad de amara.org
    subtítulos por la comunidad de amara.org
    gracias por ver el video
    gracias por ver el vídeo
    muchas gracias por ver el video
    suscríbete al canal
    suscríbete
    nos vemos en el próximo video
    legendas pela comunidade amara.org
    legendado pela comunidade amara.org
    obrigado por assistir
    obrigado por assistirem
    inscreva-se no canal
    até o próximo vídeo
    sottotitoli creati dalla comunità amara.org
    sottotitoli e revisione a cura di qtss
    sottotitoli a cura di qtss
    grazie per aver guardato il video
    grazie per la visione
    iscrivetevi al canale
    ondertiteld door de amara.org gemeenschap
    ondertiteling tv gelderland 2021
    bedankt voor het kijken
    tot de volgende video
    субтитры сделал dimatorzok
    субтитры создавал dimatorzok
    субтитры подогнал симон
    редактор субтитров а.семкин корректор а.егорова
    продолжение следует
    спасибо за просмотр
    подписывайтесь на канал
    подписывайтесь на мой канал
    napisy stworzone przez społeczność amara.org
    dziękuję za oglądanie
    dzięki za oglądanie
    altyazı m.k
    izlediğiniz için teşekkür ederim
    izlediğiniz için teşekkürler
    abone olmayı unutmayın
    ご視聴ありがとうございました
    ご視聴ありがとうございます
    ご清聴ありがとうございました
    チャンネル登録お願いします
    チャンネル登録をお願いします
    チャンネル登録よろしくお願いします
    最後までご視聴いただきありがとうございます
    次の動画でお会いしましょう
    请不吝点赞订阅转发打赏支持明镜与点点栏目
    請不吝點贊訂閱轉發打賞支持明鏡與點點欄目
    感谢观看
    謝謝觀看
    谢谢观看
    谢谢大家观看
    谢谢收看
    字幕由amara.org社区提供
    字幕by索兰娅
    字幕志愿者 李宗盛
    中文字幕志愿者 李宗盛
    시청해주셔서 감사합니다
    시청해 주셔서 감사합니다
    구독과 좋아요 부탁드립니다
    다음 영상에서 만나요
    देखने के लिए धन्यवाद
    वीडियो देखने के लिए धन्यवाद
    चैनल को सब्सक्राइब करें
    चैनल को सब्सक्राइब करना न भूलें
    شكرا على المشاهدة
    شكرا للمشاهدة
    شكرا لكم على المشاهدة
    اشتركوا في القناة
    ترجمة نانسي قنقر
    """.strip().splitlines()
)
_LETTERS = re.compile(r"[^\W\d_]+")  # a year may follow
# Of scripts without blanks each character is a word.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_]+(?:'[^\W_]+)*")

_FEWEST_WORDS, _FEWEST_CHARACTERS = 4, 8
"""Fewer may be an answer in the words of the question."""
_LONG_WORDS = 9
"""So many in a row are an echo wherever in the agent's words they begin; fewer only where a sentence of its begins."""
_ALIKE = 0.8
"""So much of an echo is heard right, at least."""


def _form(text: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(c))
    return "".join(_LETTERS.findall(unicodedata.normalize("NFKC", plain)))


_FORMS = frozenset(map(_form, map(str.strip, _INVENTED)))


def is_invented(turn: str) -> bool:
    """Is all of it what recognisers make of silence? It may be so more than once."""
    form = _form(turn)
    if form in _FORMS:
        return True
    parts = [_form(sentence) for sentence in sentences(turn)]
    return len(parts) > 1 and all(part in _FORMS for part in parts if part)


def is_echo(turn: str, agent: str) -> bool:
    """Is it the agent's own words, heard back by the microphone, some of them wrong?

    An echo begins and ends as the agent's words do, whoever they speak of: "you live in Porto?" is no echo of "I live
    in Porto". It is long, or begins where a sentence of the agent does: who answers "tea or coffee with milk?" by
    "coffee with milk" repeats only a part.
    """
    heard, said = _words(turn), _words(agent)
    unspaced = sum(len(word) == 1 for word in heard) > len(heard) / 2
    if len(heard) < (_FEWEST_CHARACTERS if unspaced else _FEWEST_WORDS) or not said:
        return False
    blocks = [b for b in SequenceMatcher(None, heard, said, autojunk=False).get_matching_blocks() if b.size]
    if not blocks or blocks[0].a > 0 or blocks[-1].a + blocks[-1].size < len(heard):
        return False
    alike = sum(block.size for block in blocks)
    begin, end = blocks[0].b, blocks[-1].b + blocks[-1].size
    if alike < _ALIKE * len(heard) or alike < _ALIKE * (end - begin):
        return False
    return len(heard) >= _LONG_WORDS * (2 if unspaced else 1) or begin in _beginnings(agent)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


def _beginnings(text: str) -> set[int]:
    """At which words a sentence begins."""
    return {len(_words(text[:start])) for start, _ in sentence_places(text)}
