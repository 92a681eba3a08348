"""Asynchronous jobs (IVOA UWS 1.1), for all services: `uws_routes` adds the endpoints, `JobKind` defines the work."""
