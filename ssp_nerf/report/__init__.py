"""A subject's report: one page that needs no network, for people to look at what was made."""
