"""What is read from `.env.local` and `.env` before anything else is imported: some libraries look only once."""

from __future__ import annotations

import os

from dotenv import load_dotenv

load_dotenv(".env.local")
load_dotenv()
# What only the service of people's apps needs, no job holds.
for _name in ("APPS_KEYS", "COMPOSIO_API_KEY"):
    os.environ.pop(_name, None)
# Whether the framework loads its model of turns (244 MB), once for all jobs. It reads the variable when it is imported.
os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", str(int(os.getenv("TURN_DETECTION") == "model")))
