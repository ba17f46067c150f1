"""The parts of an export: what becomes a graph, what stays a loop, and how both are stored."""
