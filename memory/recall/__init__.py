"""A question -> the block of memories that the model sees. Pure."""
