"""Notices: rules of who is told what, the outbox, and the channels."""
