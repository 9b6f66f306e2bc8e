"""The agent of one person: what it is told, what it answers with, and its tools."""
