"""What runs beside the agent, in its place."""
