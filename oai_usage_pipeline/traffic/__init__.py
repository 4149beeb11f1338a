"""Generated gateway traffic with a ledger of what must come out of it; it knows nothing of the pipeline's parser."""
