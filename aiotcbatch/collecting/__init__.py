"""From calls to chunks: what users hand over, checked, encoded once, and cut for sending."""
