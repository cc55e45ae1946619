"""Statistics on moments. Pure functions: values in, values out, no rendering."""
