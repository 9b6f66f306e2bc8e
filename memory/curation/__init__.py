"""What a model makes of a turn, and how its answer is checked. Pure but for one call that is handed in."""
