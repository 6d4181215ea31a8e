"""The oracle: a client that remembers every acknowledged write and judges what comes back."""
