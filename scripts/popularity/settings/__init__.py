"""What config.yaml may say: types, defaults, bounds and meanings."""
