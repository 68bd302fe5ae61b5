"""The seven denoisers, their samplers and miniatures: one file a model."""
