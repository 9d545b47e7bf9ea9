"""The tasks that agents are tried on."""
