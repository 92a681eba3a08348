"""What a service says of itself (IVOA VOSI 1.1): availability, capabilities, tables."""
