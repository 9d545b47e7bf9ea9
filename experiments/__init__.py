"""Programs."""

import sys

from jaxrnn.command_line.beginning import before_imports

if sys.argv[0] == "-m":  # Python is still looking for the program to run
    before_imports()
