"""Revisions of the schema, one for each release that changed it; what was released is never edited."""
