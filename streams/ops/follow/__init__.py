"""One dialogue followed across topics."""
