"""Directions on the sphere: projections, outlines of images, polygons, HEALPix."""
