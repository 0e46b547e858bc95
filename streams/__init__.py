"""The pipeline: stages, runtimes and the commands around them."""
