"""Commands on backups."""
