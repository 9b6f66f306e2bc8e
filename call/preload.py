"""Imported for its effect, in the process that jobs are forked from: our own modules, and what is slow to make and
belongs to no one, are there once, for all of them. A call would pay half a second of CPU for them."""

import call.job  # noqa: F401 # pyright: ignore[reportUnusedImport]
from call.language import prepare as prepare_languages
from voice.session import prepare

prepare()
prepare_languages()
