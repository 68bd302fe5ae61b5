"""The profiler: finds the feed-forward networks of a torch module and watches their hidden activations."""
