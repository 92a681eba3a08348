"""ADQL 2.1: parser, name resolution in the visible tables, and translation to an engine's SQL."""
