"""The offline voice: an OpenAI-compatible server on loopback that needs no key, no network and no model download.

It hears with pocketsphinx, answers by rules, speaks with espeak-ng, and keeps no state between requests. It
imports nothing else of this project: to the worker it is one more server behind `OPENAI_BASE_URL`.
"""
