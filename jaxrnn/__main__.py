"""`python -m jaxrnn`: the command `jaxrnn`."""

from jaxrnn.command_line.commands import main

if __name__ == "__main__":
    main()
