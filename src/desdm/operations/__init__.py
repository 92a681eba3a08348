"""What operators do: the main job, and reports on runs."""
