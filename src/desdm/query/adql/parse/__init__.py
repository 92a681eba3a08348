"""From the text of an ADQL query to its tree."""
