"""Roll-out: what is served changes here, and nowhere else."""
