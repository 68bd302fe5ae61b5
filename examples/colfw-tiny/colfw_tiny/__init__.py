"""One tiny colfw plugin of each kind."""
