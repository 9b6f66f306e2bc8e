"""The shipped worker, telling the server that it has nothing to do.

The server gives a room to nobody who reports a load of 1, whatever its own `target_load` (selectWorkerWeightedByLoad),
and the default load is the CPU of this machine, which the tests and the models keep busy. In a folder of its own: the
framework puts the folder of what it starts first on the import path.
"""

from agent import server

__all__ = ["server"]


def no_load() -> float:
    return 0.0


server.load_fnc = no_load
