"""The desk of quality assessment: marks of people on data, review, problems with their bundles, dispatches."""
