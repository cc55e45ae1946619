"""Policy: from predictions to a decision and its propensity. Values in, values out."""
