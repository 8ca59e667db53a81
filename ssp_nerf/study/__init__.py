"""The user study of section 4.4: clips of several methods rated blind, and what the ratings say."""
