"""The embedded default: broker, folder lake and SQLite on one machine, and gold held against the ledgers."""
