"""Layout policies: where columns lie in DRAM, one file a policy."""
