"""Pins: the hidden refs that hold work which no branch holds."""
