"""Accelerators: how a layer becomes a program of tiles and transfers, one file a machine."""
