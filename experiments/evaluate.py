"""Says how well a trained model predicts a text: the command `jaxrnn evaluate`, from a checkout."""

from jaxrnn.command_line.evaluate import begin

if __name__ == "__main__":
    begin()
