"""Is it inside, how deep, how many exposures, which tiles, which files: the same answers for a point, a table, a region."""
