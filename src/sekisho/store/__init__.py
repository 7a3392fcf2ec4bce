"""Every table, every SQL statement and every migration, for SQLite and PostgreSQL."""
