"""Cone search (IVOA Simple Cone Search 1.03) on every table of a release that has positions."""
