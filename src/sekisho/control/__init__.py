"""Changing and showing the world: the admin API over its services."""
