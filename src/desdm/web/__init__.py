"""Web server: one ASGI application with the data services and the pages."""
