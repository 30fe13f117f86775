"""The transport: signs, sends, retries, and turns answers into values or typed errors."""
