"""The survey table: what was to be observed, what is accepted, and what is owed."""
