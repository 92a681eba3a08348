"""The logbook: entries of people, and all acts, in one order."""
