"""A run: its loop, where it is kept, and the processes and devices that take part."""

from jaxrnn.running.training import train

__all__ = ["train"]
