"""What load tests found, for people: a page, Markdown, text and pictures. Pure."""
