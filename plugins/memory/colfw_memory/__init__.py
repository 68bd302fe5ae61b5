"""DRAM standards as data, one controller, and the compiled kernel."""
