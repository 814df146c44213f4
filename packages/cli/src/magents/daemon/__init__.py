"""What goes on without a command."""
