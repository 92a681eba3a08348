"""What operators see of runs: status, one run in full, messages, history."""
