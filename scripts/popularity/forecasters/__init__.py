"""What predicts the shares of a slot."""
