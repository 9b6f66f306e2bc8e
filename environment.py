"""What is read from `.env.local` and `.env` before anything else is imported: some libraries look only once."""

from __future__ import annotations

import os

from dotenv import load_dotenv

# Silence ends our turns, so the 244 MB of end-of-turn weights that the framework would load are never asked. It reads
# the variable when it is imported.
os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
load_dotenv(".env.local")
load_dotenv()
