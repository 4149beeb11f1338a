"""Pure accounting: bytes in, typed usage rows out; no I/O."""
