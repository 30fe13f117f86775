"""What a sandbox keeps, in SQLite. Nothing else in this package knows the database."""
