"""What experiments share: flags, work directories, the training loop, progress, pictures."""
