"""Formal production for a sky survey: archive, process and serve its core data."""

__version__ = "0.1.0"
