"""A peer of the control plane, worker or engine: its key, its link, what it has to say, what it fetches."""
