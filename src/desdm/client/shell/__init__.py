"""The query shell: what is typed becomes a statement or a command, and no error ends it."""
