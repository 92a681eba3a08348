"""Quality assurance: looking at what was made."""
