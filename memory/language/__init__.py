"""What was said -> statements, and the facts they name. Pure."""
