"""A text -> its vector: a model in this process, or a server. Knows nothing of memories."""
