"""Looking at the hub and the lake without changing them: what stands there, and whether it holds."""
