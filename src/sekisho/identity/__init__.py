"""Who is calling, and with what rights."""
