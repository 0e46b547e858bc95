"""Scoring: the one place where scenes become arrays, and arrays what the stages read."""
