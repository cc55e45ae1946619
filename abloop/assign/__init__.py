"""Assignment: hashing and experiments. Values in, values out."""
