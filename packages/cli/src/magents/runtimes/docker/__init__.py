"""Docker mode: a container per agent."""
