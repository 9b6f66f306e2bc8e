"""OpenAI's HTTP API, as far as the worker asks it."""
