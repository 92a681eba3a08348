"""FITS files to the byte and pixels in them: headers, tables, tile codecs, missing values, mask bits, compiled loops."""
