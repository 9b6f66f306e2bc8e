"""Agents for people who have none: what to do, by rules apart from what is asked of the server."""
