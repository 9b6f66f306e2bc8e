"""Imported for its effect, in the process that jobs are forked from: the model is loaded once, for all of them."""

from contextlib import suppress

from memory.embedding import e5

with suppress(Exception):  # each call says so; without this process there would be no calls
    e5.loaded()
