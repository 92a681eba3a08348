"""Identity of the caller, and the limits of its role."""
