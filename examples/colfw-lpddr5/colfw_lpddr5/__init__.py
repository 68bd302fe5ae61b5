"""LPDDR5 as data: a DRAM that colfw does not bring."""
