"""The machine: other programs, files that others can write, folders."""
