"""What colfw keeps on disk: cached results of stages, tables, run directories; all written atomically."""
