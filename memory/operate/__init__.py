"""What operators do: look at it, bring it up to date, clean up."""
