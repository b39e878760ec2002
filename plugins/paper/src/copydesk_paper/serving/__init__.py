"""What every rehearsal server is built of: the port, the websockets, faults, the control endpoint, keys, limits.

A venue brings its own wire: what its requests and replies look like, how they are signed, its error codes. All else is
here, the same for each of them, so that a fault of one name is the same fault everywhere.
"""
