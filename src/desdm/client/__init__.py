"""The Python client of the data services: queries, cutouts, footprint and files, on pyvo."""
