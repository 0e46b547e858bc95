"""The language: frozen events and rows, and the names of topics."""
