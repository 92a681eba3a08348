"""Tables that users keep, over HTTP: created from a query or an upload, extended, listed, dropped, within a quota."""
