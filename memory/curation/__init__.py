"""What a model makes of statements, and how its answer is checked. Pure but for one call that is handed in."""
