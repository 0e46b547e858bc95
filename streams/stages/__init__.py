"""The stages: plain functions, values in and values out; no clock, no await, no log, no Kafka, no models."""
