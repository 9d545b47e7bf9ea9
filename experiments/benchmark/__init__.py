"""How fast jaxrnn is: `python -m experiments.benchmark`."""
