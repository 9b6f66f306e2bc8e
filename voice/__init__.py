"""How we hear, think and speak. Knows models, not people: nothing here can tell whose session it is."""
