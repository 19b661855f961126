"""The composition root: puts the parts of each process together, runs them, ends them in reverse order."""
