"""Who the caller is to this server, and how much that role may ask."""
