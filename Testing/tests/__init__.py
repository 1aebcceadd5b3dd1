"""The tests; ``run.py tests`` runs them."""
