"""Links from an image to its files, pictures, documents and cutouts (IVOA DataLink 1.0)."""
