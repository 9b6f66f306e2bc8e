"""A speech-to-speech model in place of ears, mind and mouth."""
