"""The nouns, and what is pure: agents, statuses, events, errors, names, text."""
