"""What a stream does beside collecting: tasks, jobs that are told, and what is due by time."""
