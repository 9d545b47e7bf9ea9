"""Weights of recurrent networks of PyTorch, Flax and Haiku: taken over, and given back."""
