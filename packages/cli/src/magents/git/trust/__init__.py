"""What agents in containers brought of files that run by themselves, and what the user accepted."""
