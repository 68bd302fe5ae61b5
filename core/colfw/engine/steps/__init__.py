"""The functions of the steps: each reads what a task needs, makes its plugins, and writes its result."""
