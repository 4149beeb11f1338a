"""Telling people what is wrong: what is news, how it is worded, and to whom it is delivered."""
