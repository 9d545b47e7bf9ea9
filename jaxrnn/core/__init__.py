"""What a network is, and how it is run: jax and numpy alone."""
