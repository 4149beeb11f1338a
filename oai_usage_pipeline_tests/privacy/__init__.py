"""Tests of what is kept of prompts and answers."""
