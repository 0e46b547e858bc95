"""Consumer lag: looks at the cluster, what is measured and judged of them, and offsets set with care."""
