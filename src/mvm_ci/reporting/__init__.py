"""Pages that need nothing beside them: their style, tables, and plots as SVG. Pure."""
