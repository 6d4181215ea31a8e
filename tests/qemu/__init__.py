"""Guests that are kept by a pair of nodes: killed hosts (run) and stalls (stalls)."""
