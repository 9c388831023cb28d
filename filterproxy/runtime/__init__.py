"""The running product: one supervisor, a process per role, and what travels between them.

The supervisor binds every socket, keeps it, and hands it to a child by descriptor; segments go the same way, as
sealed memory. So a child that dies costs nobody a port, a list or a count: its replacement gets the same ones.
"""
