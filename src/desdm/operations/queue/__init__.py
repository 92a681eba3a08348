"""The nightly queue: what is to be processed by policies, in which order, and why it stands where it stands."""
