"""Features: what a blueprint declares, how a context is read, how values become model inputs."""
