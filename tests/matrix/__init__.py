"""The fault matrix: real nodes, faults under them, and a sink that judges what they let out."""
