"""Benchmarks of aiotcbatch: ``python -m benchmarks`` runs them and writes what they found."""
