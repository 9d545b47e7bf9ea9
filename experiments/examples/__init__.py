"""What users ask for, a file an idea; each checks its own numbers."""
