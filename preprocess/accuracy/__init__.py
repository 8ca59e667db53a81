"""How accurate the stages are, measured on clips of which the truth is known."""
