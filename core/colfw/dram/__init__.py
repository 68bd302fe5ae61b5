"""DRAM as data: what a standard states, what it resolves to, and what a simulation of it counts."""
