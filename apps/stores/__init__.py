"""Where connections are kept: one protocol, two databases."""
