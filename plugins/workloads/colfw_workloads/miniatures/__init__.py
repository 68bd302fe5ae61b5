"""Three small denoisers, really trained, whose weights are shipped: their sparsity is real.

`MODEL_CARD.md` beside this file says on what and how they were trained, and what comes out of them.
"""
