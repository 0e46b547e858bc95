"""What Kafka needs beyond Faust: hand-over in batches, transactions, the wire, dead letters, topics."""
