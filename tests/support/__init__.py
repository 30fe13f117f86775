"""What several tests use: guards, strategies, stand-ins."""
