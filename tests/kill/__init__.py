"""A real pair of nodes under load, and what a test does to it."""
