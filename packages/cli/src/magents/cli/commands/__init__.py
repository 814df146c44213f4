"""One module for each command: `add` gives the parser its options, `run` does it and returns the exit code."""
