"""Releases: select blessed data, build, validate, document, publish, announce."""
