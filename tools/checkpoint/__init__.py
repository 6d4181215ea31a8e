"""What tools/bench-checkpoint measures, a table or a ratio a module."""
