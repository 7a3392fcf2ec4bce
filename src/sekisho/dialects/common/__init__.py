"""Not a dialect: the envelopes and checks that several wire formats are made of. It knows none of them."""
