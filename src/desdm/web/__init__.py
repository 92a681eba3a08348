"""The door of the web: one ASGI app that mounts the data services and the pages."""
