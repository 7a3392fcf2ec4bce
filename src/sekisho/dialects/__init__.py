"""One folder per wire format, read and written in both directions, without I/O.

Belongs here: what bytes mean. A dialect never knows who speaks it: a client API and an upstream of the same
format share the folder. Folders do not import each other.
"""
