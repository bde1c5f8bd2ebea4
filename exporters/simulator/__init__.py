"""A Service Bus management endpoint for the demo, the tests and the benchmarks; knows no Django."""
