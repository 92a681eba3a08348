"""What the pages of operations read: tonight, the product view of nights and pipelines, one run."""
