"""Finds files of releases by release, tile, band, type and place on the sky, and lists folders and manifests."""
