"""Workspaces: the copies of the project in which agents work."""
