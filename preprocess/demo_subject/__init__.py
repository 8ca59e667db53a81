"""A synthetic talking person with known truth."""
