"""What jobs come to: their counts, their errors, and what became of each entity and file."""
