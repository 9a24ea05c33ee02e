"""Discovery by meta-gradient: the published method, complete. Importable without torch."""
