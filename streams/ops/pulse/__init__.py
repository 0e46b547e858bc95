"""The pulse: what the pipeline decided over a sliding window, folded into bounded memory."""
