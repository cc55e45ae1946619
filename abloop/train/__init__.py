"""Training: the table as arrays, cross-fitting, and the model that serves."""
