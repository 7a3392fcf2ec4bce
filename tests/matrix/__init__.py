"""Every client's API against every upstream's: what passes, and what is refused with a stated reason."""
