"""Task Master's list of tasks: reading and writing its file, planning, merging two copies of it."""
