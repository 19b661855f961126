"""A guest's files: a file system in memory whose state follows from the guest's calls alone."""
