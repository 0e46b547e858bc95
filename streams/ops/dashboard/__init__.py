"""The dashboard: one process that watches, and a page that shows what it sees, live."""
