"""The parts of talk.py: processes, socket, sound, keyboard and screen of one conversation in a terminal."""
