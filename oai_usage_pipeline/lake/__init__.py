"""Delta tables: the only package that imports deltalake."""
