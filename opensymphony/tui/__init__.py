"""The board in a terminal: a client of the daemon's interface, here or at the end of a tunnel."""
