"""Who is here now, and what is written for them."""
