"""Comparing our totals with what Azure itself measured and charged."""
