"""One valid request for each route that changes something: what is changed is in the audit log, once.

Each module has `CHANGES`, endpoint to a function that makes the change with a browser of an admin and returns the
answer, and `UNAUDITED`, endpoint to the reason why its change is not in the log.
"""
