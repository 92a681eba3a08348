"""Tables that users keep, over HTTP: made from a query or an upload, extended, listed, dropped, within a quota."""
