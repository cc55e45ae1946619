"""The faces of other products: their calls, answered by abloop."""
