"""What must be known, and what must be gone, after whole conversations with a real model."""
