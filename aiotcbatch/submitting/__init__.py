"""From chunks to results: jobs, their polls and errors, and the contents of their files."""
