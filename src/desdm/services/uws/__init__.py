"""Asynchronous jobs (IVOA UWS 1.1), once for all services: `uws_routes` mounts them, `JobKind` says what runs."""
