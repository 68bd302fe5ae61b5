"""The conformance kit for authors of plugins: what their tests can draw on. Importing it costs nothing."""
