"""One person's call: who sits in it, what the agent is told, and how it ends."""
