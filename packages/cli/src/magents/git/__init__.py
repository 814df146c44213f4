"""All that git does for Magents: projects, workspaces, pins, changes, merges."""
