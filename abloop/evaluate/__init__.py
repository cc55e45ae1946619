"""Evaluation: what a policy is worth, and whether that is proof enough. Functions over any learner."""
