"""The conformance kit, for authors of plugins and for colfw itself. Importing this costs nothing.

- `colfw.testing.contracts`: a test class for each kind of plugin, to inherit from
- `colfw.testing.strategies`: hypothesis strategies for sites, profiles, masks, placements, programs, timings
- `colfw.testing.study_strategies`: hypothesis strategies for studies
"""
