"""The engine: a bound study becomes tasks, tasks become stored objects, whoever executes them."""
