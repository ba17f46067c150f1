"""What runs around a model during training and testing."""
