"""Reference data: what people keep in files about subscriptions, deployments and prices, as Delta tables."""
