"""Writes with a trained model: the command `jaxrnn sample`, from a checkout."""

from jaxrnn.command_line.sample import begin

if __name__ == "__main__":
    begin()
