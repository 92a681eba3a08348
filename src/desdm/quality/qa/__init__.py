"""Quality assurance: assessment of products."""
