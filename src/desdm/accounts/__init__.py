"""Accounts: people and their roles, tokens, data rights and denials."""
