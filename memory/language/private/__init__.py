"""What is nobody's business later: what a person says off the record, their secrets, and what nobody said; pure."""
