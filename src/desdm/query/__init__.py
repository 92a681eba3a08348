"""Queries over the tables of releases: ADQL and its SQL, the engines that run it, formats of answers, the catalogue."""
