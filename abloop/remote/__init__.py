"""The client of a server: the same calls, deciding in process on what was pulled, or on the server.

Uses the standard library alone, and never the database library.
"""
