"""Trains a character-level language model: the command `jaxrnn train`, from a checkout."""

from jaxrnn.command_line.train import begin

if __name__ == "__main__":
    begin()
