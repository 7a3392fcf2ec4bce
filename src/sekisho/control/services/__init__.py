"""What the admin API does, without HTTP."""
