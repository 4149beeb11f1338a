"""A local stand-in for Event Hubs that speaks AMQP 1.0; it knows nothing of the pipeline."""
