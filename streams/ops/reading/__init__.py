"""Reading the pipeline's topics as an onlooker: without a group, committed records only."""
