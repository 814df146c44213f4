"""Files: reading what an agent may have put there, replacing a file in one step, holding a lock."""
