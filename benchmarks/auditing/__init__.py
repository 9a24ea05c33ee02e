"""How good the audit is: cells of planted cues and of clean labels, and what is counted of them."""
