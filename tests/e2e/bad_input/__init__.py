"""Wrong bytes on every socket of real programs; they must live and change nothing."""
