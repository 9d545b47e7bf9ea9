"""How a network is run over a chunk of time, and BPTT for it."""
