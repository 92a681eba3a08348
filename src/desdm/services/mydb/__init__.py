"""The record of tables that users keep (``mydb``); the catalogue of queries reads it, ``mytables`` writes it."""
