"""The store and the network misbehave: proxies that do it, and what the pipeline makes of it."""
