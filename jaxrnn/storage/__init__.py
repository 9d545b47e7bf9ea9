"""What a run and a finished model leave on disk."""
