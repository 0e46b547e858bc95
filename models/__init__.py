"""The scorers: arrays in, arrays out."""
