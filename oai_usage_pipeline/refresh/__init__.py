"""Bringing one day of a derived table up to date, at the least cost that is correct."""
