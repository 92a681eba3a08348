"""Cutouts of release images (IVOA SODA 1.0): sections, stencils, FITS and colour pictures, batches."""
