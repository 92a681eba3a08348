"""From the tree of a query to the SQL of an engine."""
