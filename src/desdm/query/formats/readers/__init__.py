"""Readers of tables that callers send: nothing in them is trusted."""
