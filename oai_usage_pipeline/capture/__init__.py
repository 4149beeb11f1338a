"""Reading an Event Hub and landing its events in bronze exactly once."""
