"""A training run: its loop, its end, its processes and devices."""
