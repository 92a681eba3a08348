"""The archive: files deposited once, found by what they are, traced to what they came from, kept intact."""
