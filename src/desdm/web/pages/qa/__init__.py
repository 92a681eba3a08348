"""Pages of quality assessment."""
