"""Prices times quantities, and who is charged: pure, frames in, frames out; no I/O."""
