"""Parser of ADQL: from text to tree."""
