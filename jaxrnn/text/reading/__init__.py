"""How files, folders, dumps and pipes become text."""
