"""Tables that users keep (``mydb``): made from a query or an upload, extended, listed, dropped, within a quota."""
