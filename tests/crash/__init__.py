"""Killing a process that has a journal."""
