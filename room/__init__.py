"""The LiveKit room: whose job this is, who is heard and who hears."""
