"""How one app is connected and used, by the kind of thing that stands before it."""
