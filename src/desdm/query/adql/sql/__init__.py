"""Generation of an engine's SQL from the tree of a query."""
