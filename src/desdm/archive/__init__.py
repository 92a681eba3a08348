"""The archive: files deposited once, searchable by their metadata, traced to what they came from, verified."""
