"""TAP_SCHEMA (TAP 1.1, section 4): the tables that describe all tables, derived from releases and ObsCore."""
