"""Table access (IVOA TAP 1.1): queries in ADQL, at once and as jobs."""
